/*
 * A library for LD_PRELOAD. It counts the calls that change files below the folder FAULTS_UNDER, and as the shared page FAULTS_CONTROL says
 * makes some of them fail, and some reads, ends the process at one of them, and moves the wall clock. faults.ts writes the page and describes its fields.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* In the order of FIELDS in faults.ts. Rates are calls in a million. */
struct control {
  uint64_t calls, injected, kill_at, torn, lose, io_error, full, short_write, read_error, seed;
  int64_t clock_seconds;
};

static struct control none;
static struct control *control = &none;
static char under[4096];
static size_t under_length;

#define REAL(name) ((__typeof__(&name))real_##name)
#define DECLARE(name) static void *real_##name
DECLARE(write); DECLARE(pwrite64); DECLARE(writev); DECLARE(pwritev64); DECLARE(fsync); DECLARE(fdatasync); DECLARE(ftruncate64); DECLARE(rename);
DECLARE(read); DECLARE(pread64); DECLARE(unlink); DECLARE(mkdir); DECLARE(rmdir); DECLARE(open64); DECLARE(sendfile64); DECLARE(clock_gettime); DECLARE(gettimeofday);

static void resolve(void) {
#define RESOLVE(name) real_##name = dlsym(RTLD_NEXT, #name)
  RESOLVE(write); RESOLVE(pwrite64); RESOLVE(writev); RESOLVE(pwritev64); RESOLVE(fsync); RESOLVE(fdatasync); RESOLVE(ftruncate64); RESOLVE(rename);
  RESOLVE(read); RESOLVE(pread64); RESOLVE(unlink); RESOLVE(mkdir); RESOLVE(rmdir); RESOLVE(open64); RESOLVE(sendfile64); RESOLVE(clock_gettime); RESOLVE(gettimeofday);
}

__attribute__((constructor)) static void begin(void) {
  if (real_write == NULL) resolve();
  const char *file = getenv("FAULTS_CONTROL"), *folder = getenv("FAULTS_UNDER");
  if (file == NULL || folder == NULL) return;
  int descriptor = REAL(open64)(file, O_RDWR | O_CLOEXEC);
  if (descriptor < 0) return;
  void *page = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  close(descriptor);
  if (page == MAP_FAILED) return;
  under_length = (size_t)snprintf(under, sizeof under, "%s", folder);
  control = page;
}

static int is_under(const char *path) {
  return under_length > 0 && path != NULL && strncmp(path, under, under_length) == 0 && (path[under_length] == '/' || path[under_length] == 0);
}

static int is_file_under(int descriptor) {
  if (under_length == 0) return 0;
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return 0;
  path[length] = 0;
  return is_under(path);
}

static uint64_t mixed(uint64_t value) { /* splitmix64 */
  value += 0x9e3779b97f4a7c15u;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
  return value ^ (value >> 31);
}

/* What a power cut can take away: writes since the last fsync of their file, with what was there before. */
struct unsynced {
  struct unsynced *before;
  dev_t device;
  ino_t inode;
  int descriptor;
  off64_t at, old_size;
  size_t old_length;
  char *old;
};
static struct unsynced *newest;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* A descriptor of our own for each file, never closed: closing it would end the locks that SQLite holds on the file. */
static int descriptor_of(const struct stat *file, int descriptor) {
  static struct { dev_t device; ino_t inode; int own; } known[4096];
  static size_t count;
  for (size_t n = 0; n < count; n++)
    if (known[n].device == file->st_dev && known[n].inode == file->st_ino) return known[n].own;
  if (count == sizeof known / sizeof *known) return -1;
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  int own = REAL(open64)(link, O_RDWR | O_CLOEXEC);
  known[count].device = file->st_dev;
  known[count].inode = file->st_ino;
  known[count++].own = own;
  return own;
}

/* Before bytes of a file change. at < 0: where the descriptor stands. */
static void remember(int descriptor, off64_t at, size_t length) {
  struct stat file;
  if (control->lose == 0 || fstat(descriptor, &file) != 0 || !S_ISREG(file.st_mode)) return;
  if (at < 0) at = fcntl(descriptor, F_GETFL) & O_APPEND ? file.st_size : lseek64(descriptor, 0, SEEK_CUR);
  pthread_mutex_lock(&lock);
  struct unsynced *entry = calloc(1, sizeof *entry);
  entry->device = file.st_dev;
  entry->inode = file.st_ino;
  entry->descriptor = descriptor_of(&file, descriptor);
  entry->at = at;
  entry->old_size = file.st_size;
  if (at < file.st_size) {
    entry->old = malloc(length);
    ssize_t got = REAL(pread64)(entry->descriptor, entry->old, length, at);
    entry->old_length = got > 0 ? (size_t)got : 0;
  }
  entry->before = newest;
  newest = entry;
  pthread_mutex_unlock(&lock);
}

static void synced(int descriptor) {
  struct stat file;
  if (control->lose == 0 || fstat(descriptor, &file) != 0) return;
  pthread_mutex_lock(&lock);
  for (struct unsynced **link = &newest; *link != NULL;) {
    struct unsynced *entry = *link;
    if (entry->device == file.st_dev && entry->inode == file.st_ino) {
      *link = entry->before;
      free(entry->old);
      free(entry);
    } else link = &entry->before;
  }
  pthread_mutex_unlock(&lock);
}

/* Takes the last unsynced writes of each file back, as many as the seed says. The lock stays taken: nothing may be written after this. */
static void lose_unsynced(void) {
  pthread_mutex_lock(&lock);
  for (struct unsynced *entry = newest; entry != NULL; entry = entry->before) {
    uint64_t older = 0, all = 0;
    for (struct unsynced *other = newest; other != NULL; other = other->before)
      if (other->inode == entry->inode && other->device == entry->device) all++;
    for (struct unsynced *other = entry->before; other != NULL; other = other->before)
      if (other->inode == entry->inode && other->device == entry->device) older++;
    if (older < mixed(control->seed ^ entry->inode) % (all + 1)) continue; /* reached the disk */
    if (entry->old_length > 0 && REAL(pwrite64)(entry->descriptor, entry->old, entry->old_length, entry->at) < 0) continue;
    if (REAL(ftruncate64)(entry->descriptor, entry->old_size) < 0) continue;
  }
}

enum fault { NO_FAULT, KILL, IO_ERROR, FULL, SHORT };

static enum fault next_fault(void) {
  uint64_t call = __atomic_add_fetch(&control->calls, 1, __ATOMIC_SEQ_CST);
  if (control->kill_at != 0 && call >= control->kill_at) return KILL;
  uint64_t draw = mixed(control->seed + call) % 1000000;
  enum fault fault = draw < control->io_error                                            ? IO_ERROR
                     : draw < control->io_error + control->full                         ? FULL
                     : draw < control->io_error + control->full + control->short_write ? SHORT
                                                                                         : NO_FAULT;
  if (fault != NO_FAULT) __atomic_add_fetch(&control->injected, 1, __ATOMIC_SEQ_CST);
  return fault;
}

static void die(void) {
  if (control->lose != 0) lose_unsynced();
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

/* -1 with errno, or 0: go on. */
static int fails(enum fault fault) {
  if (fault == KILL) die();
  if (fault == IO_ERROR || fault == FULL) {
    errno = fault == FULL ? ENOSPC : EIO;
    return -1;
  }
  return 0;
}

/* For writes: how many bytes may be written; -1 with errno. Where the process ends, `torn` bytes of the write come first. */
#define WRITING(descriptor, length, partly)                                        \
  enum fault fault = is_file_under(descriptor) ? next_fault() : NO_FAULT;          \
  size_t allowed = (length);                                                       \
  if (fault == KILL && control->torn != 0) { allowed /= 2; (void)!(partly); }      \
  if (fails(fault) != 0) return -1;                                                \
  if (fault == SHORT && allowed > 1) allowed /= 2;

ssize_t write(int descriptor, const void *bytes, size_t length) {
  if (real_write == NULL) resolve();
  WRITING(descriptor, length, REAL(write)(descriptor, bytes, allowed))
  if (under_length > 0 && control->lose != 0 && is_file_under(descriptor)) remember(descriptor, -1, allowed);
  return REAL(write)(descriptor, bytes, allowed);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t length, off64_t at) {
  WRITING(descriptor, length, REAL(pwrite64)(descriptor, bytes, allowed, at))
  if (control->lose != 0 && is_file_under(descriptor)) remember(descriptor, at, allowed);
  return REAL(pwrite64)(descriptor, bytes, allowed, at);
}
ssize_t pwrite(int descriptor, const void *bytes, size_t length, off_t at) { return pwrite64(descriptor, bytes, length, at); }

static size_t bytes_of(const struct iovec *parts, int count) {
  size_t sum = 0;
  for (int n = 0; n < count; n++) sum += parts[n].iov_len;
  return sum;
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
  size_t whole = bytes_of(parts, count);
  WRITING(descriptor, whole, REAL(write)(descriptor, parts[0].iov_base, parts[0].iov_len / 2))
  if (control->lose != 0 && is_file_under(descriptor)) remember(descriptor, -1, whole);
  if (allowed < whole && count > 0) return REAL(write)(descriptor, parts[0].iov_base, (parts[0].iov_len + 1) / 2);
  return REAL(writev)(descriptor, parts, count);
}

ssize_t pwritev64(int descriptor, const struct iovec *parts, int count, off64_t at) {
  size_t whole = bytes_of(parts, count);
  WRITING(descriptor, whole, REAL(pwrite64)(descriptor, parts[0].iov_base, parts[0].iov_len / 2, at))
  if (control->lose != 0 && is_file_under(descriptor)) remember(descriptor, at, whole);
  if (allowed < whole && count > 0) return REAL(pwrite64)(descriptor, parts[0].iov_base, (parts[0].iov_len + 1) / 2, at);
  return REAL(pwritev64)(descriptor, parts, count, at);
}
ssize_t pwritev(int descriptor, const struct iovec *parts, int count, off_t at) { return pwritev64(descriptor, parts, count, at); }

ssize_t sendfile64(int to, int from, off64_t *at, size_t length) {
  WRITING(to, length, REAL(sendfile64)(to, from, at, allowed))
  if (control->lose != 0 && is_file_under(to)) remember(to, -1, allowed);
  return REAL(sendfile64)(to, from, at, allowed);
}
ssize_t sendfile(int to, int from, off_t *at, size_t length) { return sendfile64(to, from, at, length); }

/* Reads are no calls that change files: they are counted by the failures alone. */
static int read_fails(int descriptor) {
  static uint64_t reads;
  if (control->read_error == 0 || !is_file_under(descriptor)) return 0;
  if (mixed(control->seed + __atomic_add_fetch(&reads, 1, __ATOMIC_SEQ_CST)) % 1000000 >= control->read_error) return 0;
  __atomic_add_fetch(&control->injected, 1, __ATOMIC_SEQ_CST);
  errno = EIO;
  return 1;
}

ssize_t read(int descriptor, void *bytes, size_t length) {
  if (real_read == NULL) resolve();
  return read_fails(descriptor) ? -1 : REAL(read)(descriptor, bytes, length);
}

ssize_t pread64(int descriptor, void *bytes, size_t length, off64_t at) {
  return read_fails(descriptor) ? -1 : REAL(pread64)(descriptor, bytes, length, at);
}
ssize_t pread(int descriptor, void *bytes, size_t length, off_t at) { return pread64(descriptor, bytes, length, at); }

int fsync(int descriptor) {
  if (is_file_under(descriptor) && fails(next_fault()) != 0) return -1;
  int result = REAL(fsync)(descriptor);
  if (result == 0) synced(descriptor);
  return result;
}

int fdatasync(int descriptor) {
  if (is_file_under(descriptor) && fails(next_fault()) != 0) return -1;
  int result = REAL(fdatasync)(descriptor);
  if (result == 0) synced(descriptor);
  return result;
}

int ftruncate64(int descriptor, off64_t length) {
  if (is_file_under(descriptor)) {
    if (fails(next_fault()) != 0) return -1;
    struct stat file;
    if (control->lose != 0 && fstat(descriptor, &file) == 0) remember(descriptor, length, file.st_size > length ? (size_t)(file.st_size - length) : 0);
  }
  return REAL(ftruncate64)(descriptor, length);
}
int ftruncate(int descriptor, off_t length) { return ftruncate64(descriptor, length); }

int rename(const char *from, const char *to) {
  if ((is_under(from) || is_under(to)) && fails(next_fault()) != 0) return -1;
  return REAL(rename)(from, to);
}

int unlink(const char *path) {
  if (is_under(path) && fails(next_fault()) != 0) return -1;
  return REAL(unlink)(path);
}

int mkdir(const char *path, mode_t mode) {
  if (is_under(path) && fails(next_fault()) != 0) return -1;
  return REAL(mkdir)(path, mode);
}

int rmdir(const char *path) {
  if (is_under(path) && fails(next_fault()) != 0) return -1;
  return REAL(rmdir)(path);
}

static int open_under(const char *path, int flags, mode_t mode) {
  if (real_open64 == NULL) resolve();
  if ((flags & (O_CREAT | O_TRUNC)) && is_under(path) && fails(next_fault()) != 0) return -1;
  return REAL(open64)(path, flags, mode);
}
/* With O_CREAT the caller passes a mode. */
#define OPEN_BY(name)                          \
  int name(const char *path, int flags, ...) { \
    va_list more;                              \
    va_start(more, flags);                     \
    mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0; \
    va_end(more);                              \
    return open_under(path, flags, mode);      \
  }
OPEN_BY(open64)
OPEN_BY(open)

int clock_gettime(clockid_t clock, struct timespec *now) {
  if (real_clock_gettime == NULL) resolve();
  int result = REAL(clock_gettime)(clock, now);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += control->clock_seconds;
  return result;
}

int gettimeofday(struct timeval *now, void *zone) {
  if (real_gettimeofday == NULL) resolve();
  int result = REAL(gettimeofday)(now, zone);
  if (result == 0) now->tv_sec += control->clock_seconds;
  return result;
}

time_t time(time_t *now) {
  struct timespec exact;
  clock_gettime(CLOCK_REALTIME, &exact);
  if (now != NULL) *now = exact.tv_sec;
  return exact.tv_sec;
}
