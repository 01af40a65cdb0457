/* Counts the syncs of a process: preloaded into a daemon by tests/bench/matrix. The count is the first eight bytes of the file
 * $SYNCS_DIR/<pid>, which whoever measures may read at any time. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic unsigned long own;
static _Atomic unsigned long *count = &own;
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

__attribute__((constructor)) static void begin(void) {
  char path[4096];
  const char *directory = getenv("SYNCS_DIR");
  real_fsync = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  real_fdatasync = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  if (!directory || snprintf(path, sizeof path, "%s/%d", directory, (int)getpid()) >= (int)sizeof path) return;
  int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0) return;
  if (ftruncate(file, sizeof *count) == 0) {
    void *map = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (map != MAP_FAILED) count = map;
  }
  close(file);
}

int fsync(int file) {
  atomic_fetch_add(count, 1);
  return real_fsync(file);
}

int fdatasync(int file) {
  atomic_fetch_add(count, 1);
  return real_fdatasync(file);
}
