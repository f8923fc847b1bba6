/* Searches all visible files for the solution, the checks, or another student's work. */
#include <ftw.h>
#include <string.h>
static int visit(const char *path, const struct stat *s, int kind, struct FTW *where)
{
    (void)s;
    const char *name = path + where->base;
    if (kind == FTW_F &&
        (strcmp(name, "solution.c") == 0 || strcmp(name, "server.c") == 0 ||
         strcmp(name, "test.c") == 0 || strcmp(name, "grades.csv") == 0 ||
         strcmp(name, "shadow") == 0 || strcmp(name, "passwd") == 0) &&
        strncmp(path, "/proc/", 6) != 0 && strstr(path, "/usr/") == NULL)
        succeeded(path);
    return 0;
}
static void attack(void)
{
    static const char *const places[] = {
        "/etc", "/home", "/root", "/work", "/submission",  "/grader",      "/build",     "/tmp",
        "/var", "/opt",  "/srv",  "/mnt",  "/proc/1/root", "/proc/2/root", "/proc/1/cwd"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        nftw(places[i], visit, 16, FTW_PHYS);
}
