// The command line: firstbyte say | voices | play | worlds | sessions | snapshot | fork | top |
// admin.
#include <unistd.h>

#include <csignal>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "client/cli/admin.h"
#include "client/cli/fork.h"
#include "client/cli/say.h"
#include "client/cli/snapshot.h"
#include "client/cli/voices.h"
#include "client/cli/worlds.h"
#include "client/exit_codes.h"
#include "client/play/play.h"
#include "client/top/top.h"

namespace firstbyte {
namespace {

constexpr char kFooter[] =
    "Examples:\n"
    "  firstbyte say \"Hello there.\"                     play it\n"
    "  firstbyte say \"Hello there.\" --out hello.wav     write a file\n"
    "  firstbyte play                                   walk through a world\n"
    "  firstbyte play --script walk.txt --out walk.avi  let a script walk\n"
    "  firstbyte voices --target 10.0.0.5:50051\n"
    "  firstbyte worlds; firstbyte sessions\n"
    "\n"
    "'firstbyte COMMAND --help' has more of each.\n"
    "Exit codes: 0 done, 1 the server refused or failed, 2 bad usage, 130 interrupted.";

constexpr char kSayFooter[] =
    "Examples:\n"
    "  firstbyte say \"Hello there.\" --out hello.wav\n"
    "  some-program | firstbyte say - --out - | aplay   speak text as it is written\n"
    "  firstbyte say --seed 7 --speed 0.9 \"Again.\" --out again.opus";

constexpr char kPlayFooter[] =
    "Keys: w a s d and the arrows move, space acts; p a new prompt, c saves a snapshot, r resets,\n"
    "q quits, Q leaves the world waiting. A terminal does not say when a key goes up, so a key is\n"
    "held until 250 ms after its last repeat (exactly in terminals with the kitty protocol).\n"
    "\n"
    "A script has a step a line:  forward 20 | turn_left+forward 8 | pointer 0.3 5 | wait 10 |\n"
    "prompt \"a snowy night\" | snapshot | reset.  The number is how many blocks; # begins a "
    "comment.\n"
    "\n"
    "Examples:\n"
    "  firstbyte play --prompt \"a desert at noon\"\n"
    "  firstbyte play --script walk.txt --seed 7 --out strip.png --out walk.avi\n"
    "  echo 'forward 40' | firstbyte play --script - --out frames/\n"
    "  firstbyte play --pacing realtime --script walk.txt --out walk.mp4    (needs ffmpeg)\n"
    "  firstbyte play --image photo.jpg\n"
    "  firstbyte play --resume SESSION --token TOKEN";

constexpr char kSessionsFooter[] =
    "Examples:\n"
    "  firstbyte sessions\n"
    "  firstbyte sessions get SESSION\n"
    "  firstbyte sessions delete SESSION";

constexpr char kSnapshotFooter[] =
    "The id of the snapshot goes to standard output.\n"
    "Examples:\n"
    "  firstbyte snapshot SESSION --token TOKEN                 save a session that waits\n"
    "  firstbyte snapshot SESSION --token TOKEN --out a.world   and write it into a file\n"
    "  firstbyte snapshot --export SNAPSHOT --out a.world\n"
    "  firstbyte snapshot --import a.world --target 10.0.0.5:50051";

constexpr char kForkFooter[] =
    "Takes every option of 'firstbyte play'.\n"
    "Examples:\n"
    "  firstbyte fork SNAPSHOT                                  play on from there\n"
    "  firstbyte fork SESSION --token TOKEN                     save a session, play the copy\n"
    "  firstbyte fork SNAPSHOT --script left.txt --out left.png";

constexpr char kTopFooter[] =
    "Keys: q quits, a sorts by age, l by lead (nearest to silence first), arrows scroll.\n"
    "LEAD is speech made and not yet played, DRY how often a listener ran out of it.\n"
    "Examples:\n"
    "  firstbyte top\n"
    "  firstbyte top --once | head -5\n"
    "  firstbyte top --json | jq '.stats.streams | length'";

constexpr char kAdminFooter[] =
    "Asks the server's admin port, which is not the one that speaks.\n"
    "Examples:\n"
    "  firstbyte admin info; firstbyte admin models --json\n"
    "  firstbyte admin load aligned-mel-en; firstbyte admin unload state-dit-rooms --within 30s\n"
    "  firstbyte admin log-level debug\n"
    "  firstbyte admin trace --duration 5s --out trace.json\n"
    "  firstbyte admin flight --out flight.jsonl\n"
    "  firstbyte admin drain --within 10s --target 10.0.0.5:50052";

void AddSay(CLI::App& app, SayOptions& say) {
  app.footer(kSayFooter);
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

// How a world is played, wherever it begins.
void AddPlaying(CLI::App& app, PlayOptions& play) {
  app.add_option("-s,--script", play.script, "Walk by this file instead of by hand; '-': stdin");
  app.add_option("-o,--out", play.out,
                 "Write strip.png, film.avi, film.mp4, sound.wav or frames/; may be repeated")
      ->allow_extra_args(false);
  app.add_option("--audio-out", play.audio_out, "The sound alone, a .wav file");
  app.add_option("--pacing", play.pacing,
                 "realtime, lockstep (a block an action) or free; by hand realtime, by script "
                 "lockstep");
  app.add_option("--fps", play.fps, "realtime: frames a second; the world's own by default");
  app.add_option("--video", play.video, "On the wire: raw, jpeg or png");
  app.add_option("--quality", play.quality, "jpeg: 1 to 100")->check(CLI::Range(1, 100));
  app.add_option("--colors", play.colours, "By hand: auto, truecolor or 256");
  app.add_flag("--mute", play.mute, "By hand: no sound");
  app.add_flag("--keep", play.keep, "By script: leave the session waiting at the end");
}

void AddPlay(CLI::App& app, PlayOptions& play) {
  app.footer(kPlayFooter);
  app.add_option("-m,--model", play.model, "Name of a world; 'firstbyte worlds' lists them");
  app.add_option("--seed", play.seed, "Same seed, same deeds: same frames");
  app.add_option("--prompt", play.prompt, "What the world is at first");
  app.add_option("--image", play.image, "A .jpg or .png to begin with");
  app.add_option("--snapshot", play.snapshot, "Begin from this snapshot");
  app.add_option("--resume", play.resume, "Go on with this session");
  app.add_option("--token", play.token, "What the session was left with");
  app.add_option("--last-block", play.last_block, "Resume: the last block you have");
  AddPlaying(app, play);
}

void AddSnapshot(CLI::App& app, SnapshotOptions& snapshot) {
  app.footer(kSnapshotFooter);
  app.add_option("session", snapshot.session, "A session that waits");
  app.add_option("--token", snapshot.token, "What it was left with");
  app.add_option("--export", snapshot.export_id, "Write this snapshot into a file");
  app.add_option("--import", snapshot.import_path, "Store this file on the server");
  app.add_option("-o,--out", snapshot.out, "The file");
}

struct CommandLine {
  std::string target = "127.0.0.1:50051";
  AdminCommand admin{.target = "127.0.0.1:50052"};
  TopOptions top{.target = "127.0.0.1:50052"};
  SayOptions say;
  PlayOptions play;
  SnapshotOptions snapshot;
  ForkOptions fork;
  std::string session_id;
  std::function<int()> run;  // the command that was given

  void Add(CLI::App& app);
  void AddSessions(CLI::App& app);
  void AddTop(CLI::App& app);
  void AddAdmin(CLI::App& app);
  CLI::App* AddVerb(CLI::App& app, const std::string& verb, const std::string& help);
};

void CommandLine::AddSessions(CLI::App& app) {
  CLI::App* sessions = app.add_subcommand("sessions", "List the worlds that run or wait");
  sessions->footer(kSessionsFooter);
  sessions->final_callback([this, sessions] {
    if (sessions->get_subcommands().empty()) run = [this] { return Sessions(target); };
  });
  CLI::App* get = sessions->add_subcommand("get", "Show one session");
  get->add_option("session", session_id, "Its id")->required();
  get->final_callback([this] { run = [this] { return ShowSession(target, session_id); }; });
  CLI::App* remove = sessions->add_subcommand("delete", "End a session");
  remove->add_option("session", session_id, "Its id")->required();
  remove->final_callback([this] { run = [this] { return DeleteSession(target, session_id); }; });
}

// The commands that ask the admin port have a --target of their own, which hides the other.
void AddAdminTarget(CLI::App& app, std::string& target) {
  app.add_option("--target", target, "The server's admin port, host:port")
      ->envname("FIRSTBYTE_ADMIN_TARGET")
      ->capture_default_str();
}

void CommandLine::AddTop(CLI::App& app) {
  CLI::App* command = app.add_subcommand("top", "Watch the lanes and streams of a running server");
  command->footer(kTopFooter);
  AddAdminTarget(*command, top.target);
  command->add_option("--interval", top.interval, "Between two looks")->capture_default_str();
  command->add_flag("--once", top.once, "Print it once, without colours");
  command->add_flag("--json", top.json, "Print it once, as JSON");
  command->final_callback([this] { run = [this] { return Top(top); }; });
}

CLI::App* CommandLine::AddVerb(CLI::App& app, const std::string& verb, const std::string& help) {
  CLI::App* command = app.add_subcommand(verb, help);
  command->final_callback([this, verb] {
    admin.verb = verb;
    run = [this] { return Admin(admin); };
  });
  return command;
}

void CommandLine::AddAdmin(CLI::App& app) {
  CLI::App* verbs = app.add_subcommand("admin", "Look at and steer a running server");
  verbs->footer(kAdminFooter);
  verbs->require_subcommand(1);
  verbs->fallthrough();
  AddAdminTarget(*verbs, admin.target);
  verbs->add_flag("--json", admin.json, "info, models: print JSON");
  AddVerb(*verbs, "info", "Version, state, lanes");
  AddVerb(*verbs, "models", "The models it knows");
  CLI::App* load = AddVerb(*verbs, "load", "Load a model and wait until it serves");
  CLI::App* unload = AddVerb(*verbs, "unload",
                             "Let a model's streams finish and free its memory; Ctrl-C keeps it");
  for (CLI::App* verb : {load, unload}) {
    verb->add_option("model", admin.name, "Its name")->required();
  }
  CLI::App* drain =
      AddVerb(*verbs, "drain", "Take no more streams, let those that run finish, end the server");
  for (CLI::App* verb : {unload, drain}) {
    verb->add_option("--within", admin.within, "How long they may still run, such as 10s");
  }
  CLI::App* trace = AddVerb(*verbs, "trace", "Record what the lanes do, for ui.perfetto.dev");
  trace->add_option("--duration", admin.duration, "For how long")->capture_default_str();
  CLI::App* flight = AddVerb(*verbs, "flight", "What the flight recorders hold, to replay");
  for (CLI::App* file : {trace, flight}) {
    file->add_option("-o,--out", admin.out, "The file; '-': standard output")->required();
  }
  AddVerb(*verbs, "log-level", "Change how much it logs, until it ends")
      ->add_option("level", admin.name, "debug, info, warning or error")
      ->required();
}

void CommandLine::Add(CLI::App& app) {
  CLI::App* command = app.add_subcommand("say", "Speak a text");
  AddSay(*command, say);
  command->final_callback([this] {
    say.target = target;
    run = [this] { return Say(say); };
  });
  command = app.add_subcommand("voices", "List the server's voices");
  command->final_callback([this] { run = [this] { return Voices(target); }; });
  command = app.add_subcommand("play", "Walk through a world");
  AddPlay(*command, play);
  command->final_callback([this] {
    play.target = target;
    run = [this] { return Play(play); };
  });
  command = app.add_subcommand("worlds", "List the server's worlds");
  command->final_callback([this] { run = [this] { return Worlds(target); }; });
  AddSessions(app);
  command = app.add_subcommand("snapshot", "Save a world, on the server or in a file");
  AddSnapshot(*command, snapshot);
  command->final_callback([this] {
    snapshot.target = target;
    run = [this] { return Snapshot(snapshot); };
  });
  command = app.add_subcommand("fork", "Play on from a saved world");
  command->footer(kForkFooter);
  command->add_option("origin", fork.origin, "A snapshot; with --token a session")->required();
  command->add_option("--token", fork.token, "What the session was left with");
  AddPlaying(*command, fork.play);
  command->final_callback([this] {
    fork.play.target = target;
    run = [this] { return Fork(fork); };
  });
  AddTop(app);
  AddAdmin(app);
}

int RunCommandLine(int argc, char** argv) {
  CLI::App app("Speak and walk through a firstbyte server.", "firstbyte");
  app.footer(kFooter);
  app.require_subcommand(1);
  app.fallthrough();
  CommandLine line;
  app.add_option("--target", line.target, "The server, host:port")
      ->envname("FIRSTBYTE_TARGET")
      ->capture_default_str();
  line.Add(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help
    const std::vector<std::string> rest = app.remaining();
    const bool unknown = app.get_subcommands().empty() && !rest.empty();
    std::cerr << "firstbyte: " << (unknown ? "no command '" + rest[0] + "'" : error.what())
              << "; see --help\n";
    return kExitUsage;
  }
  return line.run();
}

}  // namespace
}  // namespace firstbyte

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader of our output that left is an error of write()
  return firstbyte::RunCommandLine(argc, argv);
}
