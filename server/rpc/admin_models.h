// Models that an operator loads and unloads while the server runs.
#pragma once

#include "firstbyte/v1/admin.pb.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "server/rpc/admin_service.h"

namespace firstbyte {

// Answers when the model serves. A client that goes away does not stop the load.
// kNotFound MODEL_NOT_FOUND, kUnavailable MODEL_LOAD_FAILED.
grpc::ServerUnaryReactor* StartLoad(const AdminContext& context,
                                    const v1::LoadModelRequest& request,
                                    v1::LoadModelResponse* response,
                                    grpc::CallbackServerContext* rpc);

// Answers when the model is gone. A client that goes away while its streams run keeps it.
// kInvalidArgument OUT_OF_RANGE, kNotFound MODEL_NOT_FOUND, kAborted MODEL_KEPT, and what
// Engine::Unload() refuses.
grpc::ServerUnaryReactor* StartUnload(const AdminContext& context,
                                      const v1::UnloadModelRequest& request,
                                      grpc::CallbackServerContext* rpc);

}  // namespace firstbyte
