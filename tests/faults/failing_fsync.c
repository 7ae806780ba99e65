/* A disk that fails: every fsync and fdatasync says EIO while the file named by FAILING_FSYNC exists (DB-08). To be
   loaded before the C library, by LD_PRELOAD. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fails(void)
{
    const char *flag = getenv("FAILING_FSYNC");
    return flag != NULL && access(flag, F_OK) == 0;
}

int fsync(int file)
{
    if (fails()) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fsync, file);
}

int fdatasync(int file)
{
    if (fails()) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, file);
}
