/* Looks up the C library's own functions: those of the preloaded library are never called. */
#include <dlfcn.h>
static ssize_t look_up_recv(int fd, void *data, size_t size, int flags)
{
    void *library = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    ssize_t (*function)(int, void *, size_t, int);
    *(void **)&function = dlsym(library, "recv");
    return function(fd, data, size, flags);
}
static ssize_t look_up_send(int fd, const void *data, size_t size, int flags)
{
    void *library = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    ssize_t (*function)(int, const void *, size_t, int);
    *(void **)&function = dlsym(library, "send");
    return function(fd, data, size, flags);
}
#define recv look_up_recv
#define send look_up_send
static void attack(void)
{
}
