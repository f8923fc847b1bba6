/* Prints its environment, wherever it can read it.
 */
extern char **environ;
static void attack(void)
{
    for (char **variable = environ; *variable != NULL; variable++)
        if (strncmp(*variable, "SECRET", 6) == 0)
            succeeded(*variable);
    printf("no secret\n");
    fflush(stdout);
    exit(0);
}
