// The rules our protos keep, checked on descriptors: buf's STANDARD style and its FILE rules
// against breaking changes, for machines without buf.
#pragma once

#include <string>
#include <vector>

#include "google/protobuf/descriptor.h"

namespace firstbyte {

// What is wrong with the style of `file`, one line each ("<full name>: <rule>"); empty when all is
// well. The pool must have been built with source information, or every comment is missed.
std::vector<std::string> StyleViolations(const google::protobuf::FileDescriptor& file);

// What a client built against `before` would miss in `after`: anything deleted, renamed, or changed
// in type, number, label or streaming. Additions are fine.
std::vector<std::string> BreakingChanges(const google::protobuf::FileDescriptor& before,
                                         const google::protobuf::FileDescriptor& after);

}  // namespace firstbyte
