char large[1ul << 40] = {1};
int main(void)
{
    return large[5];
}
