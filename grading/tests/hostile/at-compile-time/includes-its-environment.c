#include "/proc/1/environ"
#include "/proc/self/environ"
__asm__(".incbin \"/proc/self/environ\"");
int main(void)
{
    return 0;
}
