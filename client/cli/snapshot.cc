#include "client/cli/snapshot.h"

#include <cstdio>
#include <fstream>
#include <sstream>
#include <utility>

#include <openssl/sha.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/exit_codes.h"
#include "client/rpc_status.h"
#include "client/table.h"

namespace firstbyte {
namespace {

int Misused(absl::string_view message) {
  absl::FPrintF(stderr, "firstbyte: %s\n", std::string(message));
  return kExitUsage;
}

int Explain(const absl::Status& status, const std::string& target) {
  absl::FPrintF(stderr, "firstbyte: %s\n", ExplainError(status, target));
  return kExitFailed;
}

std::string Sha256Of(absl::string_view bytes) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
         reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

int Export(const std::string& target, const std::string& id, const std::string& path) {
  std::string bytes;
  auto snapshot = WorldClient(target).ExportSnapshot(id, [&](absl::string_view piece) {
    bytes.append(piece.data(), piece.size());
    return absl::OkStatus();
  });
  if (!snapshot.ok()) return Explain(snapshot.status(), target);
  if (Sha256Of(bytes) != snapshot->sha256()) {
    return Explain(absl::DataLossError("what arrived is not what the server sent"), target);
  }
  std::ofstream file(path, std::ios::binary);
  if (!file.write(bytes.data(), static_cast<std::streamsize>(bytes.size())).flush()) {
    absl::FPrintF(stderr, "firstbyte: cannot write %s\n", path);
    return kExitFailed;
  }
  absl::FPrintF(stderr, "firstbyte: %s in %s, before block %d; sha256 %s\n",
                Megabytes(snapshot->size_bytes()), path, snapshot->block(),
                absl::BytesToHexString(snapshot->sha256()));
  return kExitOk;
}

int Import(const std::string& target, const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  if (!(bytes << file.rdbuf())) return Misused(absl::StrCat("cannot read ", path));
  const std::string content = bytes.str();
  v1::WorldSnapshot said;
  said.set_size_bytes(static_cast<int64_t>(content.size()));
  said.set_sha256(Sha256Of(content));
  auto stored = WorldClient(target).ImportSnapshot(said, content);
  if (!stored.ok()) return Explain(stored.status(), target);
  std::printf("%s\n", stored->snapshot_id().c_str());
  return kExitOk;
}

int Take(const SnapshotOptions& options) {
  WorldClient client(options.target);
  auto taken = TakeSnapshot(&client, options.session, options.token);
  if (!taken.ok()) return Explain(taken.status(), options.target);
  std::printf("%s\n", taken->snapshot.snapshot_id().c_str());
  absl::FPrintF(stderr,
                "firstbyte: saved before block %d, %s; the session waits on, its token is now %s\n",
                taken->snapshot.block(), Megabytes(taken->snapshot.size_bytes()), taken->token);
  if (options.out.empty()) return kExitOk;
  return Export(options.target, taken->snapshot.snapshot_id(), options.out);
}

}  // namespace

absl::StatusOr<TakenSnapshot> TakeSnapshot(WorldClient* client, const std::string& session_id,
                                           const std::string& token) {
  auto session = client->GetSession(session_id);
  if (!session.ok()) return session.status();
  v1::OpenWorld open;  // LOCKSTEP: nothing happens unless we act
  open.set_model(session->model());
  auto& resume = *open.mutable_resume();
  resume.set_session_id(session_id);
  resume.set_token(token);
  resume.set_last_block_received(session->next_block() - 1);
  auto stream = client->Open(open);
  stream->Control(v1::CONTROL_KIND_SNAPSHOT).IgnoreError();
  TakenSnapshot taken;
  v1::StepWorldResponse response;
  while (stream->Next(&response)) {
    if (response.has_opened()) taken.token = response.opened().token();
    if (!response.has_snapshot()) continue;
    taken.snapshot = response.snapshot();
    stream->Cancel();  // parks the session
  }
  absl::Status status = stream->Finish();
  if (!taken.snapshot.snapshot_id().empty()) return taken;
  return status.ok() ? absl::InternalError("the server sent no snapshot") : status;
}

int Snapshot(const SnapshotOptions& options) {
  const bool take = !options.session.empty(), exports = !options.export_id.empty();
  const bool imports = !options.import_path.empty();
  if (int{take} + int{exports} + int{imports} != 1) {
    return Misused("say one of: a SESSION to save, --export ID, --import FILE");
  }
  if (take && options.token.empty()) return Misused("a session is saved with its --token");
  if (exports && options.out.empty()) return Misused("--export needs --out FILE");
  if (take) return Take(options);
  if (exports) return Export(options.target, options.export_id, options.out);
  return Import(options.target, options.import_path);
}

}  // namespace firstbyte
