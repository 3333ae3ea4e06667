// The command line: firstbyte say | voices.
#include <unistd.h>

#include <csignal>
#include <string>

#include <CLI/CLI.hpp>

#include "client/say.h"
#include "client/voices.h"

namespace {

constexpr char kFooter[] =
    "Examples:\n"
    "  firstbyte say \"Hello there.\"                     play it\n"
    "  firstbyte say \"Hello there.\" --out hello.wav     write a file\n"
    "  some-program | firstbyte say - --out - | aplay   speak text as it is written\n"
    "  firstbyte say --seed 7 --speed 0.9 \"Again.\" --out again.opus\n"
    "  firstbyte voices --target 10.0.0.5:50051\n"
    "\n"
    "Exit codes: 0 done, 1 the server refused or failed, 2 bad usage, 130 interrupted.";

void AddSay(CLI::App& app, firstbyte::SayOptions& say) {
  app.add_option("text", say.text, "What to say; '-' reads standard input as it arrives")
      ->required();
  app.add_option("-o,--out", say.out, "A .wav or .opus file, or '-' for standard output");
  app.add_flag("--play", say.play, "Play it (the default without --out)");
  app.add_option("--voice", say.voice, "Name of a voice; 'firstbyte voices' lists them");
  app.add_option("--model", say.model, "Name of a model");
  app.add_option("--language", say.language, "Language of the text, such as en-US");
  app.add_option("--rate,--speed", say.speaking_rate, "Tempo; 1 is normal, 1.2 faster");
  app.add_option("--seed", say.seed, "Same seed, same audio");
  app.add_option("--encoding", say.encoding, "On the wire: pcm16, wav or opus");
  app.add_option("--bitrate", say.bitrate_bps, "Opus: bits a second");
}

int RunCommandLine(int argc, char** argv) {
  CLI::App app("Speak through a firstbyte server.", "firstbyte");
  app.footer(kFooter);
  app.require_subcommand(1);
  app.fallthrough();
  std::string target = "127.0.0.1:50051";
  app.add_option("--target", target, "The server, host:port")
      ->envname("FIRSTBYTE_TARGET")
      ->capture_default_str();
  firstbyte::SayOptions say;
  CLI::App* say_command = app.add_subcommand("say", "Speak a text");
  say_command->footer(kFooter);
  AddSay(*say_command, say);
  CLI::App* voices_command = app.add_subcommand("voices", "List the server's voices");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? firstbyte::kExitOk : firstbyte::kExitUsage;
  }
  if (voices_command->parsed()) return firstbyte::Voices(target);
  say.target = target;
  return firstbyte::Say(say);
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader of our output that left is an error of write()
  return RunCommandLine(argc, argv);
}
