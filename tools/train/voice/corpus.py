"""The sentences the voice learns from: WordNet examples and glosses, and templates of agent talk.

Public-domain-like text that every Debian mirror carries (package wordnet-base), so the voice can be
rebuilt anywhere. One sentence a line, 3 to 30 words, ASCII. Held-out sentences come from synsets
that training never sees.
"""

import random
import re
from pathlib import Path

WORDNET = Path("/usr/share/wordnet")
HELD_OUT_EVERY = 40  # one synset in so many is held out

NAMES = (
    "Anna Ben Carla David Emma Frank Grace Henry Isabel Jack Kate Liam Maria Noah Olivia Peter "
    "Quinn Rosa Sam Tina Victor Wendy Yusuf Zoe"
).split()
CITIES = (
    "Boston,Chicago,Denver,London,Madrid,New York,Paris,Rome,San Francisco,Seattle,Sydney,Tokyo,"
    "Toronto,Vienna,Berlin,Lisbon"
).split(",")
MONTHS = ("January February March April May June July August September October November "
          "December").split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
THINGS = ("order,package,appointment,flight,reservation,payment,invoice,account,ticket,meeting,"
          "delivery,message,report,schedule,password,contract,refund,prescription").split(",")
SHORT = (
    "Yes.|No.|Sure.|Okay.|Of course.|Thank you.|Thanks a lot.|You're welcome.|I'm sorry.|"
    "Not yet.|Maybe later.|Hello!|Hi there!|Goodbye.|See you soon.|Good morning!|Good night.|"
    "One moment, please.|That's right.|Exactly.|I see.|Absolutely!|Let me check.|No problem.|"
    "I don't know.|Please hold on.|Well, I think so.|Right away.|Great!|Really?|Why not?|"
    "What happened?|How are you?|Are you there?|Can you hear me?|Who is calling, please?|"
    "Hello world.|Nice to meet you.|Have a nice day!|Take care.|Go ahead.|Never mind."
).split("|")
PATTERNS = (
    "Your {thing} is confirmed for {day}, {month} {dom}.|The total comes to {money}.|"
    "You can reach us at {phone}.|The next train leaves at {time}.|It costs {money}, plus tax.|"
    "My number is {phone}.|{name} was born on {month} {dom}, {year}.|"
    "Is {time} on {day} okay for you?|I have scheduled your {thing} for {day} at {time}.|"
    "Would you like to change your {thing}?|Could you please repeat that, {name}?|"
    "What is the status of my {thing}?|There are {number} people waiting in {city}.|"
    "The temperature in {city} is {small} degrees.|Hello {name}, this is {name} from {city}.|"
    "I'm afraid the {thing} was cancelled {small} days ago.|"
    "We open at {time} and close at {time}.|In {year}, the company moved to {city}.|"
    "About {percent} percent of the guests came from {city}.|Dr. {name} will see you at {time}.|"
    "Did you say {small} or {small}?|Please enter your {small} digit code.|"
    "The {thing} number is {digits}.|Turn left after {small} miles, then take exit {number}.|"
    "Thank you for calling, how can I help you today?|"
    "Let me look up your {thing}, one moment please.|"
    "{name}, {name}, and {name} will join the meeting on {day}.|"
    "I'd like two tickets to {city}, please.|How many {thing}s do you have for {day}?|"
    "When does the flight to {city} leave?|"
    "It takes {small} hours and {number} minutes to get to {city}.|"
    "The meeting with {name} is at {time}.|Sorry, I didn't catch that.|"
    "Would you prefer {day} or {day}?|Your balance is {money}.|"
    "Mr. {name} paid {money} for the {thing}.|Who wrote this {thing}, and why?|"
    "The answer is {number} point {small}.|She lives at {number} Main Street, {city}.|"
    "We shipped your {thing} on {month} {dom}; it should arrive by {day}.|"
    "Version {small}.{small} is out!|Chapter {small}: the road to {city}.|"
    "Isn't that the {thing} you asked for?|If you need anything else, just let me know.|"
    "I can help you with your {thing}, {name}.|"
    "On {day}, it will be {small} degrees and sunny in {city}.|The year {year} was a good one.|"
    "That is {ordinal} on the list.|You have {small} new messages.|Press {small} to continue."
).split("|")


def _ordinal(n):
    suffix = "th" if 10 <= n % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{suffix}"


def _template(rng):
    if rng.random() < 0.2:
        return rng.choice(SHORT)
    makers = {
        "thing": lambda: rng.choice(THINGS), "name": lambda: rng.choice(NAMES),
        "city": lambda: rng.choice(CITIES), "day": lambda: rng.choice(DAYS),
        "month": lambda: rng.choice(MONTHS), "dom": lambda: _ordinal(rng.randint(1, 31)),
        "year": lambda: str(rng.randint(1900, 2030)), "small": lambda: str(rng.randint(2, 30)),
        "number": lambda: str(rng.randint(2, 999)), "percent": lambda: str(rng.randint(1, 100)),
        "money": lambda: f"${rng.randint(1, 900)}.{rng.randint(10, 99)}",
        "phone": lambda: (f"{rng.randint(200, 999)}-{rng.randint(200, 999)}-"
                          f"{rng.randint(1000, 9999)}"),
        "time": lambda: (f"{rng.randint(1, 12)}:{rng.randint(10, 59)} "
                         f"{rng.choice(['a.m.', 'p.m.'])}"),
        "digits": lambda: " ".join(str(rng.randint(0, 9)) for _ in range(rng.randint(4, 8))),
        "ordinal": lambda: _ordinal(rng.randint(1, 99)),
    }
    text = re.sub(r"\{(\w+)\}", lambda match: makers[match[1]](), rng.choice(PATTERNS))
    return text.replace("m..", "m.")


def _finish(text, rng):
    """Capital letter first, a full stop last: except for some, as a flushed text has none."""
    text = text.strip()
    text = text[0].upper() + text[1:]
    if text[-1].isalnum() and rng.random() > 0.05:
        text += "."
    return text


def _usable(text):
    return text.isascii() and 3 <= len(text.split()) <= 30 and re.search("[a-z]{2}", text)


def _wordnet(rng):
    """Yields (held out?, is an example?, sentence) for every synset."""
    for part in ("noun", "verb", "adj", "adv"):
        for line in (WORDNET / f"data.{part}").read_text(encoding="latin-1").splitlines():
            if line.startswith("  "):
                continue
            held_out = int(line[:8]) % HELD_OUT_EVERY == 0
            gloss = line.split("|", 1)[1]
            for example in re.findall(r'"([^"]+)"', gloss):
                example = example.split(" - ")[0]
                if _usable(example):
                    yield held_out, True, _finish(example, rng)
            definition = re.sub(r"\([^)]*\)", "", gloss.split(";")[0].split('"')[0]).strip()
            if _usable(definition):
                yield held_out, False, _finish(definition, rng)


def make_corpus(examples=14000, glosses=3500, templates=3000, held_out=420, seed=3):
    """Returns (training, held-out) sentences, shuffled; the same for the same arguments."""
    rng = random.Random(seed)
    pools = {(held, example): [] for held in (False, True) for example in (False, True)}
    for held, example, text in _wordnet(rng):
        pools[held, example].append(text)
    for pool in pools.values():
        rng.shuffle(pool)
    train = pools[False, True][:examples] + pools[False, False][:glosses]
    train += [_template(rng) for _ in range(templates)]
    seen = set(train)
    held = pools[True, True][:held_out * 5 // 7] + pools[True, False][:held_out // 7]
    held += [_template(rng) for _ in range(held_out // 7)]
    held = [text for text in held if text not in seen]
    rng.shuffle(train)
    rng.shuffle(held)
    return train, held
