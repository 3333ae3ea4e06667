// Messages of the server for scripts.
#pragma once

#include <string>

#include "google/protobuf/util/json_util.h"

namespace firstbyte {

// `message` in protobuf's JSON with the field names of the proto files; fields that are 0 are there
// too. One line.
inline std::string MessageJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string json;
  // Fails only for messages that hold an Any of an unknown type.
  (void)google::protobuf::util::MessageToJsonString(message, &json, options);
  return json;
}

}  // namespace firstbyte
