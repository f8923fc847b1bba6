#include "/dev/ptmx"
int main(void)
{
    return 0;
}
