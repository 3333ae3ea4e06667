// ListVoices: what the models can do, in proto.
#pragma once

#include <vector>

#include "firstbyte/v1/speech.pb.h"
#include "model/model.h"

namespace firstbyte {

// The voices of `models` that `request` asks for, sorted by name.
void FillVoices(const std::vector<const ModelInfo*>& models, const v1::ListVoicesRequest& request,
                v1::ListVoicesResponse* response);

}  // namespace firstbyte
