#include "model/world/waypoint/gpu_waypoint.h"

#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model/io/safetensors.h"
#include "model/no_memory.h"
#include "model/overlapped_model.h"
#include "model/world/waypoint/gpu_dit.h"
#include "model/world/waypoint/gpu_taehv.h"

namespace firstbyte::waypoint {
namespace {

WaypointSession& Mine(Session* session) { return *static_cast<WaypointSession*>(session); }

// The halves of the model that a device has.
template <typename T>
struct Engine {
  std::unique_ptr<GpuDit<T>> dit;
  std::unique_ptr<GpuTaehv<T>> taehv;
};

// Its cache and its decoder's history are on the device.
template <typename T>
class GpuWaypointSession : public WaypointSession {
 public:
  // `checkpoint` and `engine` must outlive it.
  GpuWaypointSession(const Checkpoint& checkpoint, Journey journey, bool scene_pending, Slot slot,
                     const Engine<T>& engine)
      : WaypointSession(checkpoint, std::move(journey), scene_pending, std::move(slot), nullptr),
        checkpoint_(checkpoint),
        engine_(engine) {}

 protected:
  absl::StatusOr<std::string> Write() const override {
    Journey whole = journey();
    whole.history.assign(checkpoint_.decoder.history_floats(), 0);
    absl::Status status;
    if (whole.primed) status = engine_.taehv->SaveHistory(slot(), &whole.history);
    typename GpuRings<T>::Copy copy(engine_.dit->rings(), slot());
    std::string state = SaveWorld(checkpoint_, whole,
                                  [&](int layer, int place) { return copy.Read(layer, place); });
    status.Update(copy.Finish());
    if (!status.ok()) return status;
    return state;
  }

 private:
  const Checkpoint& checkpoint_;
  const Engine<T>& engine_;
};

template <typename T>
class GpuWorld : public OverlappedModel {
 public:
  GpuWorld(std::shared_ptr<const Checkpoint> checkpoint, std::unique_ptr<cuda::Gpu> gpu,
           const LaneSize& size);
  absl::Status Load(const std::string& folder, const cuda::GpuOptions& options);

  const ModelInfo& info() const override { return info_; }
  absl::StatusOr<std::unique_ptr<Prepared>> Prepare(const RawInput& input) const override {
    return Waypoint::PrepareFor(*checkpoint_, input);
  }

 private:
  using Feed = typename GpuTaehv<T>::Feed;

  struct UnderWay {
    std::vector<PassRow> passes;
    std::vector<Feed> primed, fed;            // of first latents, and of all
    std::vector<size_t> passing, feeding;     // indices into the step's batch
    std::optional<Ticket> pass, prime, show;  // the device's
    std::vector<float> velocities;            // [max_batch, latent_size]
  };

  absl::StatusOr<std::unique_ptr<Session>> NewSession(const SessionSpec& spec, Slot slot) override;
  absl::Status Start(const Step& step) override;
  absl::Status Read(const Step& step, absl::Span<absl::Status> statuses) override;

  void Choose(const Step& step, UnderWay* mine);
  void ChoosePass(size_t index, const PassRow& row, UnderWay* mine);
  void ChooseFeed(size_t index, WaypointSession* session, UnderWay* mine);
  absl::Status ReadPasses(const Step& step, const UnderWay& mine,
                          absl::Span<absl::Status> statuses);
  absl::Status ReadPictures(const Step& step, const UnderWay& mine);

  const std::shared_ptr<const Checkpoint> checkpoint_;
  const std::unique_ptr<cuda::Gpu> gpu_;
  ModelInfo info_;
  Engine<T> engine_;
  std::array<UnderWay, kStepsUnderWay> under_way_;  // by Step::place
};

template <typename T>
GpuWorld<T>::GpuWorld(std::shared_ptr<const Checkpoint> checkpoint, std::unique_ptr<cuda::Gpu> gpu,
                      const LaneSize& size)
    : OverlappedModel(size.slots),
      checkpoint_(std::move(checkpoint)),
      gpu_(std::move(gpu)),
      info_(Waypoint::InfoOf(*checkpoint_, size)) {
  info_.slot_bytes = info_.slot_bytes / int64_t{sizeof(float)} * int64_t{sizeof(T)};
  info_.steps_under_way = kStepsUnderWay;
  for (UnderWay& each : under_way_) {
    each.velocities.resize(int64_t{size.max_batch} * checkpoint_->config.latent_size());
  }
}

template <typename T>
absl::Status GpuWorld<T>::Load(const std::string& folder, const cuda::GpuOptions& options) {
  absl::StatusOr<SafeTensors> dit = SafeTensors::Open(folder + "/model.safetensors");
  if (!dit.ok()) return dit.status();
  absl::StatusOr<SafeTensors> taehv = SafeTensors::Open(folder + "/taehv1_5.safetensors");
  if (!taehv.ok()) return taehv.status();
  const GpuSize size = {info_.slots, info_.max_batch, options.mode,
                        options.number == cuda::Number::kTf32};
  nn::WeightLoader weights(*dit, kernels::Kernels()), taehv_weights(*taehv, kernels::Kernels());
  const Config& config = checkpoint_->config;
  absl::Status status = cuda::Take(
      GpuDit<T>::Create(gpu_.get(), config, checkpoint_->dit, &weights, size), &engine_.dit);
  if (!weights.status().ok()) return weights.status();
  if (!status.ok()) return status;
  status = cuda::Take(GpuTaehv<T>::Create(gpu_.get(), config, *taehv, &taehv_weights, size),
                      &engine_.taehv);
  return taehv_weights.status().ok() ? status : taehv_weights.status();
}

template <typename T>
absl::StatusOr<std::unique_ptr<Session>> GpuWorld<T>::NewSession(const SessionSpec& spec,
                                                                 Slot slot) {
  typename GpuRings<T>::Copy copy(engine_.dit->rings(), slot.index());
  absl::StatusOr<Journey> journey = Waypoint::Begin(
      *checkpoint_, spec,
      [&](int layer, int place, const float* frame) { copy.Write(layer, place, frame); });
  absl::Status copied = copy.Finish();
  if (!journey.ok()) return journey.status();
  if (journey->primed) copied.Update(engine_.taehv->LoadHistory(slot.index(), journey->history));
  if (!copied.ok()) return copied;
  journey->history = {};
  const bool scene_pending = spec.state == nullptr && !journey->scene.empty();
  return std::make_unique<GpuWaypointSession<T>>(*checkpoint_, *std::move(journey), scene_pending,
                                                 std::move(slot), engine_);
}

// --- Start

template <typename T>
void GpuWorld<T>::ChoosePass(size_t index, const PassRow& row, UnderWay* mine) {
  mine->passing.push_back(index);
  mine->passes.push_back(row);
}

template <typename T>
void GpuWorld<T>::ChooseFeed(size_t index, WaypointSession* session, UnderWay* mine) {
  mine->feeding.push_back(index);
  mine->fed.push_back({session->slot(), session->LatentMap()});
  if (!session->primed()) mine->primed.push_back(mine->fed.back());
}

template <typename T>
void GpuWorld<T>::Choose(const Step& step, UnderWay* mine) {
  const int64_t size = checkpoint_->config.latent_size();
  for (size_t i = 0; i < step.batch.size(); ++i) {
    WaypointSession& session = Mine(step.batch[i]);
    switch (step.stage) {
      case Stage::kPrefill:
        if (session.SceneIsInCache()) {
          ChooseFeed(i, &session, mine);
        } else {
          ChoosePass(i, session.SceneRow(), mine);
        }
        break;
      case Stage::kGenerate:
        ChoosePass(i, session.NextPass(mine->velocities.data() + mine->passes.size() * size), mine);
        break;
      case Stage::kDecode:
        ChooseFeed(i, &session, mine);
        break;
      case Stage::kCommit:
        ChoosePass(i, session.CommitRow(), mine);
        break;
    }
  }
}

template <typename T>
absl::Status GpuWorld<T>::Start(const Step& step) {
  UnderWay& mine = under_way_[step.place];
  mine.passes.clear();
  mine.primed.clear();
  mine.fed.clear();
  mine.passing.clear();
  mine.feeding.clear();
  mine.pass = mine.prime = mine.show = std::nullopt;
  Choose(step, &mine);
  absl::Status status;
  const auto take = [&](absl::StatusOr<Ticket> given, std::optional<Ticket>* ticket) {
    if (given.ok()) *ticket = *given;
    status.Update(given.status());
  };
  if (!mine.passes.empty()) {
    take(step.stage == Stage::kGenerate ? engine_.dit->Denoise(mine.passes)
                                        : engine_.dit->Commit(mine.passes),
         &mine.pass);
  }
  if (status.ok() && !mine.primed.empty()) take(engine_.taehv->Prime(mine.primed), &mine.prime);
  if (status.ok() && !mine.fed.empty()) take(engine_.taehv->Show(mine.fed), &mine.show);
  return status;
}

// --- Read

template <typename T>
absl::Status GpuWorld<T>::ReadPasses(const Step& step, const UnderWay& mine,
                                     absl::Span<absl::Status> statuses) {
  const bool denoised = step.stage == Stage::kGenerate;
  absl::Status status = denoised ? engine_.dit->FinishDenoise(*mine.pass, mine.passes)
                                 : engine_.dit->FinishCommit(*mine.pass);
  if (!status.ok()) return status;
  for (size_t row = 0; row < mine.passing.size(); ++row) {
    WaypointSession& session = Mine(step.batch[mine.passing[row]]);
    if (denoised) {
      statuses[mine.passing[row]] = session.FinishPass(mine.passes[row].velocity);
    } else if (step.stage == Stage::kPrefill) {
      session.FinishSceneRow();
    } else {
      session.FinishCommit();
    }
  }
  return status;
}

template <typename T>
absl::Status GpuWorld<T>::ReadPictures(const Step& step, const UnderWay& mine) {
  absl::StatusOr<const uint8_t*> pictures = engine_.taehv->FinishShow(*mine.show);
  if (!pictures.ok()) return pictures.status();
  const int64_t size = engine_.taehv->picture_bytes();
  for (size_t row = 0; row < mine.feeding.size(); ++row) {
    WaypointSession& session = Mine(step.batch[mine.feeding[row]]);
    const uint8_t* from = *pictures + static_cast<int64_t>(row) * size;
    if (step.stage == Stage::kDecode) {
      session.FinishDecode(std::vector<uint8_t>(from, from + size));
    } else {
      session.FinishPriming();  // a scene's own pictures are not shown
    }
  }
  return absl::OkStatus();
}

template <typename T>
absl::Status GpuWorld<T>::Read(const Step& step, absl::Span<absl::Status> statuses) {
  const UnderWay& mine = under_way_[step.place];
  absl::Status status;
  if (mine.pass) status = ReadPasses(step, mine, statuses);
  if (status.ok() && mine.prime) status = engine_.taehv->FinishPrime(*mine.prime);
  if (status.ok() && mine.show) status = ReadPictures(step, mine);
  return status;
}

template <typename T>
absl::StatusOr<std::unique_ptr<Model>> Open(std::shared_ptr<const Checkpoint> checkpoint,
                                            const std::string& folder,
                                            std::unique_ptr<cuda::Gpu> gpu, const LaneSize& size,
                                            const cuda::GpuOptions& options) {
  auto model = std::make_unique<GpuWorld<T>>(std::move(checkpoint), std::move(gpu), size);
  absl::Status status = model->Load(folder, options);
  if (!status.ok()) return status;
  return model;
}

}  // namespace

ModelInfo GpuWaypoint::Describe(const Config& config, const LaneSize& size) {
  ModelInfo info = Waypoint::Describe(config, size);
  info.steps_under_way = OverlappedModel::kStepsUnderWay;
  return info;
}

absl::StatusOr<std::unique_ptr<Model>> GpuWaypoint::Create(
    std::shared_ptr<const Checkpoint> checkpoint, const std::string& folder,
    std::unique_ptr<cuda::Gpu> gpu, const LaneSize& size, const cuda::GpuOptions& options) {
  const LaneSize made = {Describe(checkpoint->config, size).slots, size.max_batch};
  const bool halves = options.number == cuda::Number::kBf16;
  return OrNoMemory(absl::StrCat("opening ", folder), [&] {
    return (halves ? Open<cuda::Bf16> : Open<float>)(std::move(checkpoint), folder, std::move(gpu),
                                                     made, options);
  });
}

}  // namespace firstbyte::waypoint
