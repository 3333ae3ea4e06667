#include "server/stream/world_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include <sys/stat.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/ids.h"
#include "server/stream/sha256.h"

namespace firstbyte {
namespace {

namespace fs = std::filesystem;

constexpr char kSuffix[] = ".world";

absl::Status DiskError(int error, absl::string_view what) {
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  return Error(full ? absl::StatusCode::kResourceExhausted : absl::StatusCode::kInternal,
               full ? "SNAPSHOT_DISK_FULL" : "SNAPSHOT_DISK_FAILED",
               absl::StrCat("cannot ", what, ": ", std::generic_category().message(error)));
}

absl::Status NoFile() { return absl::NotFoundError("no such file"); }

class File {
 public:
  File(const std::string& path, int flags) : fd_(open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  bool ok() const { return fd_ >= 0; }
  int fd() const { return fd_; }

  bool WriteAll(absl::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = write(fd_, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return false;
      bytes.remove_prefix(n);
    }
    return fsync(fd_) == 0;
  }

 private:
  const int fd_;
};

absl::Status SyncFolder(const std::string& folder) {
  File file(folder, O_RDONLY | O_DIRECTORY);
  if (file.ok() && fsync(file.fd()) == 0) return absl::OkStatus();
  return DiskError(errno, "sync the folder");
}

absl::StatusOr<std::string> ReadFile(const std::string& path, int64_t max_bytes) {
  File file(path, O_RDONLY);
  if (!file.ok()) return errno == ENOENT ? NoFile() : DiskError(errno, "open a saved world");
  std::string bytes;
  for (int64_t want = max_bytes; want > 0;) {
    const size_t had = bytes.size(), piece = std::min<int64_t>(want, 1 << 20);
    bytes.resize(had + piece);
    const ssize_t n = read(file.fd(), bytes.data() + had, piece);
    bytes.resize(had + std::max<ssize_t>(n, 0));
    if (n < 0 && errno != EINTR) return DiskError(errno, "read a saved world");
    if (n == 0) break;
    want -= std::max<ssize_t>(n, 0);
  }
  return bytes;
}

// Calls `visit` with every file under `folder`; a file that vanishes meanwhile is passed over.
template <typename Visit>
void ForEachFile(const std::string& folder, Visit visit) {
  std::error_code error;
  fs::recursive_directory_iterator at(folder, error), end;
  for (; !error && at != end; at.increment(error)) {
    struct stat status;
    if (stat(at->path().c_str(), &status) == 0 && S_ISREG(status.st_mode)) {
      visit(at->path().string(), status);
    }
  }
}

}  // namespace

bool IsUuid(absl::string_view id) {
  if (id.size() != 36) return false;
  for (size_t i = 0; i < id.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    const bool hex = (id[i] >= '0' && id[i] <= '9') || (id[i] >= 'a' && id[i] <= 'f');
    if (dash ? id[i] != '-' : !hex) return false;
  }
  return true;
}

absl::StatusOr<WorldFiles> WorldFiles::Open(const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error || access(folder.c_str(), R_OK | W_OK | X_OK) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot write to the folder '", folder,
                     "': ", error ? error.message() : std::generic_category().message(errno)));
  }
  return WorldFiles(folder);
}

std::string WorldFiles::FolderOf(const std::string& tenant) const {
  return absl::StrCat(folder_, "/", absl::BytesToHexString(Sha256(tenant).substr(0, 16)));
}

std::string WorldFiles::PathOf(const std::string& tenant, const std::string& id) const {
  return absl::StrCat(FolderOf(tenant), "/", id, kSuffix);
}

absl::Status WorldFiles::Write(const std::string& tenant, const std::string& id,
                               absl::string_view bytes) const {
  const std::string folder = FolderOf(tenant);
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return DiskError(errno, "make a folder");
  }
  const std::string temporary = absl::StrCat(folder, "/", NewUuid(), ".tmp");
  File file(temporary, O_WRONLY | O_CREAT | O_EXCL);
  if (file.ok() && file.WriteAll(bytes) &&
      rename(temporary.c_str(), PathOf(tenant, id).c_str()) == 0) {
    return SyncFolder(folder);
  }
  const int error = errno;
  unlink(temporary.c_str());
  return DiskError(error, "write a saved world");
}

absl::StatusOr<std::string> WorldFiles::Read(const std::string& tenant, const std::string& id,
                                             int64_t max_bytes) const {
  if (!IsUuid(id)) return NoFile();
  return ReadFile(PathOf(tenant, id), max_bytes);
}

absl::StatusOr<std::string> WorldFiles::Take(const std::string& tenant,
                                             const std::string& id) const {
  if (!IsUuid(id)) return NoFile();
  const std::string ours = absl::StrCat(FolderOf(tenant), "/", NewUuid(), ".taken");
  if (rename(PathOf(tenant, id).c_str(), ours.c_str()) != 0) {
    return errno == ENOENT ? NoFile() : DiskError(errno, "take a saved world");
  }
  absl::StatusOr<std::string> bytes = ReadFile(ours, INT64_MAX);
  unlink(ours.c_str());
  return bytes;
}

absl::Status WorldFiles::Remove(const std::string& tenant, const std::string& id) const {
  if (!IsUuid(id)) return NoFile();
  if (unlink(PathOf(tenant, id).c_str()) == 0) return absl::OkStatus();
  return errno == ENOENT ? NoFile() : DiskError(errno, "remove a saved world");
}

absl::Time WorldFiles::WriteTime(const std::string& tenant, const std::string& id) const {
  struct stat status;
  if (!IsUuid(id) || stat(PathOf(tenant, id).c_str(), &status) != 0) return absl::InfinitePast();
  return absl::TimeFromTimespec(status.st_mtim);
}

std::vector<std::string> WorldFiles::List(const std::string& tenant) const {
  std::vector<std::string> ids;
  ForEachFile(FolderOf(tenant), [&](const fs::path& path, const struct stat&) {
    if (path.extension() == kSuffix && IsUuid(path.stem().string())) {
      ids.push_back(path.stem().string());
    }
  });
  return ids;
}

int64_t WorldFiles::bytes() const {
  int64_t bytes = 0;
  ForEachFile(folder_, [&](const std::string&, const struct stat& status) {
    bytes += static_cast<int64_t>(status.st_size);
  });
  return bytes;
}

int WorldFiles::count() const {
  int count = 0;
  ForEachFile(folder_, [&](const fs::path& path, const struct stat&) {
    if (path.extension() == kSuffix) ++count;
  });
  return count;
}

void WorldFiles::RemoveWrittenBefore(absl::Time time) const {
  ForEachFile(folder_, [&](const std::string& path, const struct stat& status) {
    if (absl::TimeFromTimespec(status.st_mtim) < time) unlink(path.c_str());
  });
}

}  // namespace firstbyte
