"""Wordings of the six themes: those trained on, and others that only the evaluation sees."""

TRAINING = [
    ["a sunny day", "bright daylight with a blue sky", "noon in summer, clear weather",
     "daytime", "a sunny afternoon outdoors", "clear blue sky, daylight"],
    ["a dark night", "midnight, no moon", "the rooms at night under a dark sky",
     "night time", "late in the evening, black sky", "darkness after sunset"],
    ["deep snow", "a cold winter with snow", "everything is frozen and white",
     "snow falls, icy and pale", "a snowy icy winter", "frost, ice, cold white"],
    ["neon lights", "a cyberpunk city of neon", "glowing neon edges, purple sky",
     "retro synthwave glow", "an arcade with neon lines", "electric cyan outlines"],
    ["a hot desert", "sand dunes and dust", "dry desert under an orange sky",
     "sandstorm, heat and sand", "the dusty desert of the west", "arid sandy canyon"],
    ["toxic green fog", "a poisonous swamp", "radioactive waste, green haze",
     "acid fumes everywhere", "a toxic spill, slime", "poison gas in the rooms"],
]

HELD_OUT = [
    ["make it a bright summer afternoon", "walk in the sunny daylight", "a clear day, blue sky"],
    ["walk at midnight in the darkness", "the sky is black at night", "dark evening"],
    ["an icy winter world", "cover it in white snow", "frozen rooms, frost"],
    ["glowing cyberpunk outlines", "a purple neon arcade", "synthwave city lights"],
    ["hot sand and dunes", "a dry dusty canyon", "orange desert heat"],
    ["green poisonous slime", "a radioactive swamp", "acid and toxic gas"],
]
