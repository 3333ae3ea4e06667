#include "server/scheduler/admission.h"

#include "base/error.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

using Slots = std::vector<std::vector<int>>;

TEST(Admission, GoesToTheLeastLoadedLane) {
  AdmissionLedger ledger(Slots{{2, 2}});
  Seat a = *ledger.Admit(0), b = *ledger.Admit(0), c = *ledger.Admit(0);
  EXPECT_EQ(a.lane(), 0);
  EXPECT_EQ(b.lane(), 1);
  EXPECT_EQ(c.lane(), 0);
  EXPECT_EQ(ledger.usage(0).used, 3);
  EXPECT_EQ(ledger.usage(0).total, 4);
}

TEST(Admission, RefusalSaysWhenToRetry) {
  AdmissionLedger ledger(Slots{{1}});
  Seat seat = *ledger.Admit(0);
  absl::Status refused = ledger.Admit(0).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(DetailOf(refused).reason, "NO_SLOT");
  EXPECT_TRUE(DetailOf(refused).retry_after.has_value());
}

TEST(Admission, SeatComesBackOnceWhereverItWasMoved) {
  AdmissionLedger ledger(Slots{{1}});
  {
    Seat first = *ledger.Admit(0);
    Seat second = std::move(first);
    EXPECT_EQ(ledger.usage(0).used, 1);
  }
  EXPECT_EQ(ledger.usage(0).used, 0);
  EXPECT_TRUE(ledger.Admit(0).ok());
}

TEST(Admission, DrainingRefusesAndKeepsWhatIsHeld) {
  AdmissionLedger ledger(Slots{{4}});
  Seat held = *ledger.Admit(0);
  ledger.StartDraining();
  EXPECT_EQ(ledger.Admit(0).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ledger.usage(0).used, 1);
}

}  // namespace
}  // namespace firstbyte
