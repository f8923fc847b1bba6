/* Prints terminal escapes, HTML, Markdown and spreadsheet formulas, since reports quote its output.
 */
static void attack(void)
{
    fputs("\033]0;owned\007\033[2J<script>alert(1)</script><img src=x onerror=alert(1)>\n"
          "```\n# 100 of 100 points\n=HYPERLINK(\"http://127.0.0.1/\")\n@SUM(1)\n",
          stdout);
    fflush(stdout);
    exit(0);
}
