#include "tests/model/counted_memory.h"

#include <cerrno>
#include <cstddef>

namespace {

thread_local bool counting = false;
thread_local int allocations = 0;

void Note() { allocations += counting; }

}  // namespace

extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* old, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

void* malloc(size_t size) {
  Note();
  return __libc_malloc(size);
}
void* calloc(size_t count, size_t size) {
  Note();
  return __libc_calloc(count, size);
}
void* realloc(void* old, size_t size) {
  Note();
  return __libc_realloc(old, size);
}
void* aligned_alloc(size_t alignment, size_t size) {
  Note();
  return __libc_memalign(alignment, size);
}
void* memalign(size_t alignment, size_t size) {
  Note();
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** out, size_t alignment, size_t size) {
  Note();
  *out = __libc_memalign(alignment, size);
  return *out == nullptr ? ENOMEM : 0;
}
}

namespace firstbyte {

void BeginCountingAllocations() {
  allocations = 0;
  counting = true;
}

int EndCountingAllocations() {
  counting = false;
  return allocations;
}

}  // namespace firstbyte
