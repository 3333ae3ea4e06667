// What a running server looks like, as messages of admin.proto.
#pragma once

#include <string>

#include "firstbyte/v1/admin.pb.h"
#include "server/rpc/admin_service.h"

namespace firstbyte {

void FillModels(const Engine& engine, v1::ListModelsResponse* response);
void FillModel(const Engine& engine, int index, v1::Model* out);

// `lane_name`: of every lane.
void FillStats(const AdminContext& context, const std::string& lane_name,
               v1::GetStatsResponse* response);

}  // namespace firstbyte
