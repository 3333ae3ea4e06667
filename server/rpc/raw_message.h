// Protobuf messages in gRPC byte buffers, parsed by us.
//
// gRPC's own parsing cannot tell a message that does not parse from the end of the stream (a read
// just fails), nor say what is wrong: a client that sends text in Latin-1 would never learn why.
#pragma once

#include "absl/status/status.h"
#include "google/protobuf/message.h"
#include "grpcpp/support/byte_buffer.h"

namespace firstbyte {

// kInvalidArgument INVALID_UTF8 with the path of the field, or MALFORMED_MESSAGE.
absl::Status Parse(const grpc::ByteBuffer& buffer, google::protobuf::Message* message);

grpc::ByteBuffer Serialize(const google::protobuf::Message& message);

}  // namespace firstbyte
