// Prints docs/metrics.md.
#include <cstdio>

#include "metrics/instruments.h"

int main() { std::fputs(firstbyte::InstrumentsAsMarkdown().c_str(), stdout); }
