#include "model/kernels/isa.h"

#include "gtest/gtest.h"

namespace firstbyte::kernels {
namespace {

TEST(Isa, NamesRoundTrip) {
  for (Isa isa : {Isa::kGeneric, Isa::kAvx2, Isa::kAvx512})
    EXPECT_EQ(IsaFromName(IsaName(isa)), isa);
  EXPECT_FALSE(IsaFromName("sse9"));
}

TEST(Isa, GenericAlwaysRunsAndThePreferredOneIsSupported) {
  EXPECT_TRUE(Supported(Isa::kGeneric));
  EXPECT_TRUE(Supported(PreferredIsa()));
}

}  // namespace
}  // namespace firstbyte::kernels
