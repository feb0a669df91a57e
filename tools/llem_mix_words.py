"""The words and sentences of llem-mix: each domain is a small world whose sentences make sense with any of its words."""

NAMES = ["Ada", "Bram", "Chloé", "Dario", "Edith", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kaya", "Lukas", "Mira", "Noor", "Olga",
         "Pablo", "Quentin", "Rosa", "Søren", "Tomás", "Ulla", "Vera", "Wanda", "Ximena", "Yusuf", "Zoë"]
TOWNS = ["Aldbrook", "Bramblewood", "Carrow", "Dunmere", "Eastfold", "Fernhill", "Gressing", "Harrowgate Mill", "Ilmford",
         "Juniper Bay", "Kestrel Point", "Lindow"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
NUMBERS = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "a dozen"]
TIMES = ["shortly after six", "at half past seven", "before noon", "just after lunch", "late in the afternoon", "around sunset",
         "in the early evening", "towards midnight"]
COLOURS = ["red", "blue", "green", "yellow", "grey", "white", "brown", "black"]
LANGUAGES = ["French", "German", "Spanish", "Italian", "Dutch", "Polish", "Danish", "Turkish", "Swedish", "Portuguese"]
ANIMALS = ["fox", "heron", "badger", "otter", "crow", "hedgehog", "goat", "owl", "seal", "mouse", "horse", "toad"]
THINGS = ["bread", "a bicycle", "a lighthouse", "soap", "a compass", "glass", "a violin", "cheese", "an umbrella", "ink", "a kite",
          "paper", "a clock", "salt", "a bridge", "rope", "a candle", "steel", "a map", "honey"]
SCIENCE = ["rain", "tides", "rust", "echoes", "rainbows", "frost", "fog", "lightning", "magnets", "shadows", "seasons",
           "earthquakes", "moonlight", "dew", "snow", "thunder", "hail", "eclipses", "fire"]
CLASSES = ["rivers", "metals", "birds", "trees", "spices", "tools", "fruits", "cheeses", "sports", "fish", "nuts",
           "verbs", "colours", "fabrics", "insects"]
TRADES = ["baker", "nurse", "carpenter", "librarian", "ferry pilot", "gardener", "plumber", "teacher", "tailor", "cook"]
READERS = ["a child of ten", "a new colleague", "a visitor from abroad", "the town council", "a busy manager", "my grandmother",
           "an engineer", "a journalist"]
TONES = ["formal", "friendly", "plain", "cheerful", "polite", "brief", "calm"]
# Words of a sentence are slots in braces: a list above, or one of its domain's.
COMMON = {"name": NAMES, "town": TOWNS, "day": DAYS, "number": NUMBERS, "time": TIMES, "colour": COLOURS}

DOMAINS = {
    "the log of a small harbour": {
        "boat": ["the trawler Marigold", "the ferry Saint Anne", "the tug Bulldog", "the yacht Petrel", "the barge Old Martha",
                 "the pilot boat", "the survey ship Corrie", "the lifeboat"],
        "cargo": ["timber", "barley", "roof tiles", "mackerel", "cement", "machine parts", "wool", "apples"],
        "wind": ["a light easterly breeze", "a stiff wind from the north-west", "almost no wind", "gusts from the south"],
        "place": ["the fish quay", "the outer mole", "berth four", "the coal wharf", "the slipway", "the fuel pier"],
        "sentences": [
            "{boat} came in {time} with {number} tonnes of {cargo} and tied up at {place}.",
            "There was {wind}, and visibility stayed good until the rain set in {time}.",
            "{name} checked the moorings at {place} and found one rope badly worn.",
            "Because of the tide, {boat} had to wait outside for nearly {number} hours.",
            "The harbour master asked {name} to move {boat} away from {place} before the next delivery.",
            "{number} crates of {cargo} were left on the quay overnight under a {colour} tarpaulin.",
            "A seal was seen near {place}, which delighted the children and annoyed the anglers.",
            "The crane at {place} stopped working {time}; {name} replaced a fuse and it ran again.",
            "{boat} reported a failed pump but needed no help.",
            "{name} counted {number} visiting yachts, most of them bound for {town}.",
            "Diesel was sold to {boat}, and the meter was read twice because the first figure looked wrong.",
            "Fishing nets in {colour} and {colour} were laid out to dry along {place}.",
            "The notice about low water at {place} was renewed, since the old one had faded in the sun.",
            "With {wind}, {name} advised small boats bound for {town} to stay in.",
        ],
    },
    "the minutes of a garden society": {
        "plant": ["tomatoes", "roses", "leeks", "dahlias", "runner beans", "sweet peas", "pumpkins", "fuchsias", "currants"],
        "trouble": ["slugs", "greenfly", "mildew", "a late frost", "the dry spell", "pigeons", "compacted soil"],
        "item": ["the water pump", "the greenhouse roof", "the shared mower", "the gate by the stream", "the compost heap",
                 "the seed cupboard", "the tool shed"],
        "sentences": [
            "{name} reported that {item} needs repair before the spring.",
            "It was agreed to spend {number} hundred on {item}, with one vote against.",
            "Several members have lost {plant} to {trouble} this year.",
            "{name} offered cuttings of {plant} to anybody who brings a pot.",
            "The show at {town} will take place on a {day}, and entries close {number} days before.",
            "A long discussion about {trouble} ended without a decision.",
            "{name} recommended mulching {plant} with straw, which had worked well against {trouble}.",
            "The treasurer explained that {number} members have not paid yet.",
            "{name} will write to the council of {town} about the footpath.",
            "The prize for {plant} goes to {name}, whose entry filled {number} trays.",
            "New members asked whether {item} may be used on a {day}.",
            "{name} proposed a visit to the nursery at {town}, and {number} people signed up at once.",
            "It was noted that {item} had been left unlocked again.",
        ],
    },
    "a diary of a walking tour": {
        "land": ["a beech wood", "open moorland", "a chalk ridge", "a narrow valley", "fields of barley", "a flooded meadow",
                 "an old railway cutting"],
        "food": ["lentil soup", "cheese on toast", "a bag of plums", "cold pancakes", "mushroom pie", "porridge with honey"],
        "inn": ["the Three Bells", "a farm with a loud rooster", "the youth hostel", "a room above the bakery",
                "the hotel by the station", "a barn that smelled of hay"],
        "sentences": [
            "We left {town} {time} and crossed {land}, {number} miles in all.",
            "{name} had a blister, so we rested beside a wall and ate {food}.",
            "The path crossed {land}, and then climbed more steeply than the map had promised.",
            "We found beds in {inn}, and supper was {food}.",
            "It rained all {day}, and our {colour} jackets were soaked through.",
            "{name} sketched the church at {town} while I looked for a shop.",
            "Nobody had told us that the bridge was closed, and the detour led through {land}.",
            "In the evening {name} read aloud from a novel that somebody had left in {inn}.",
            "From the top we could see {town}, and beyond it a thin line of sea.",
            "We met a shepherd with {number} dogs who told us the shorter way.",
            "My boots held out; those of {name} had to be tied together with string.",
            "The best moment of the day was {food}, eaten on a bench in the sun.",
            "{name} counted {number} herons along the river before {town}.",
            "Later we missed the bus by a minute and walked the last part in the dark, past {land}.",
        ],
    },
    "the notebook of a repair workshop": {
        "device": ["a sewing machine", "a table fan", "a radio from the sixties", "a toaster", "a vacuum cleaner", "a desk lamp",
                   "a record player", "an electric kettle", "a cordless drill"],
        "fault": ["a broken wire", "a worn brush", "a blown capacitor", "a cracked gear", "dust in the switch", "a loose screw",
                  "a bent spring"],
        "part": ["a new cord", "a matching spring", "a second-hand motor", "a set of screws", "a fuse of the right size",
                 "a rubber belt"],
        "sentences": [
            "{name} brought in {device} that had stopped working on {day}.",
            "The cause was {fault}, which took {number} minutes to find.",
            "We ordered {part} from a dealer in {town}.",
            "With {part} the thing ran again, a little louder than before.",
            "Opening {device} needs patience: one clip sits behind the {colour} label.",
            "{name} showed an apprentice how to measure the resistance before touching anything.",
            "After the repair, {device} was tested for {number} hours without trouble.",
            "The owner asked for the old part back, and so {name} kept it in an envelope.",
            "In {device} we found {fault} and, to our surprise, a coin.",
            "It would have been cheaper to buy another, but {name} is fond of {device}.",
            "The insulation of the cord was brittle; we replaced it with {part}.",
            "A note for next time: {fault} looks exactly like a dead motor.",
            "{number} customers came {time}, most of them with nothing worse than {fault}.",
        ],
    },
    "the report of a school library": {
        "book": ["atlases", "detective stories", "poetry", "comics", "books about space", "cookery books", "travel guides",
                 "old encyclopaedias", "biographies"],
        "spot": ["the reading corner", "the front desk", "the shelf by the window", "the basement store", "the map cabinet"],
        "event": ["the book swap", "the quiz evening", "the story hour", "the visit of an illustrator", "the yearly stock-taking"],
        "sentences": [
            "Loans of {book} have risen for {number} months in a row.",
            "{name} moved {book} to {spot}, where they are easier to see.",
            "On {day} {number} classes came for {event}.",
            "{event} was a success, although {spot} was too small for so many guests.",
            "The pupils would like more {book}, and fewer rules about snacks.",
            "{name} repaired the spines of {number} volumes with {colour} tape.",
            "A parcel of {book} arrived from {town}, a gift of a former pupil.",
            "The lamp at {spot} flickers, and the caretaker has been told.",
            "{name} suggests opening {time} on {day} during the exams.",
            "Of the {book} that were missing in spring, {number} have come back.",
            "For {event} we borrowed chairs from the music room.",
            "Readers often ask for {book}; {name} keeps a list at {spot}.",
            "The catalogue now tells apart {book} in {number} languages.",
        ],
    },
    "a newsletter of a town kitchen": {
        "dish": ["vegetable curry", "potato salad", "bean stew", "apple crumble", "fish cakes", "stuffed peppers", "rice pudding",
                 "onion tart"],
        "ware": ["carrots", "flour", "eggs", "cabbages", "yoghurt", "lemons", "dried peas", "olive oil"],
        "guest": ["the football club", "a group of students", "the night shift of the hospital", "two choirs", "the street sweepers"],
        "sentences": [
            "On {day} we served {dish} to {guest}.",
            "{name} taught {number} volunteers to make {dish} without waste.",
            "A farmer near {town} gave us {number} sacks of {ware}.",
            "There was too much {dish}, so what remained was frozen in small boxes.",
            "{guest} helped to wash up, and sang while doing so.",
            "The price of {ware} went up again, and {name} changed the menu.",
            "Our recipe for {dish} needs {ware}, an hour of time and a heavy pot.",
            "{name} forgot the salt, and nobody noticed.",
            "The oven from {town} has arrived; it is large enough for {number} trays.",
            "Next week {guest} will cook for us, and we shall have {dish}.",
            "Please bring jars with {colour} lids back, since they fit our shelves.",
            "We thank {name}, who peeled {number} buckets of vegetables {time}.",
            "A visitor said that our {dish} tasted of childhood.",
        ],
    },
    "field notes on the weather and the birds": {
        "bird": ["lapwings", "swallows", "a kestrel", "wild geese", "a pair of cranes", "starlings", "a kingfisher", "oystercatchers"],
        "sky": ["high thin cloud", "a clear sky", "low fog", "heavy showers", "a grey, even sky", "a halo around the sun"],
        "site": ["the gravel pit", "the reed bed", "the north hide", "the old dam", "the willow island", "the sluice"],
        "sentences": [
            "{day}, {site}: {sky}, and {bird} {time}.",
            "{name} heard {bird} long before we saw them.",
            "At {site} the water stood {number} centimetres higher than last week.",
            "The frost of the night had gone {time}, leaving {sky}.",
            "We counted {number} nests near {site} and kept our distance.",
            "Under {sky} it was hard to tell whether we saw {bird} or only leaves in the wind.",
            "{name} repaired the fence at {site} with wire from {town}.",
            "A ringed bird turned up that had been marked at {town} {number} years ago.",
            "The thermometer at {site} showed {number} degrees {time}.",
            "Walkers had frightened {bird} away from {site} when we arrived.",
            "With {sky} in the morning and wind at noon, the insects stayed low, and so did {bird}.",
            "{name} wrote down the {colour} patch on the wing, which settles the question.",
            "Along the path to {site} the first {colour} flowers are out.",
        ],
    },
    "letters about an old house": {
        "room": ["the attic", "the kitchen", "the cellar", "the blue room", "the staircase", "the hall", "the wash-house"],
        "work": ["new plaster", "a layer of paint", "better drains", "a sound floor", "double windows", "a proper lock"],
        "find": ["a bundle of letters", "a tin of buttons", "a map of {town}", "a child's shoe", "an album of photographs",
                 "a broken clock"],
        "sentences": [
            "{name} says that {room} needs {work} before anybody can live in it.",
            "Behind the panelling of {room} we found {find}.",
            "The builder from {town} promised to begin on {day}, but nobody came.",
            "{room} smells of apples, for {number} generations stored them there.",
            "We painted the door of {room} {colour}, and it is already scratched.",
            "{name} would rather keep {room} as it is.",
            "The bill for {work} was {number} times what we had been told.",
            "At night one hears the beams in {room} creak as the house cools.",
            "I put {find} on the window sill, where {name} will see it {time}.",
            "The neighbours remember a {colour} gate, and a pear tree beside it.",
            "Without {work} the rain comes in, as it did on {day}.",
            "{name} measured {room} twice and got two different lengths.",
            "It took {number} people to carry the stove out of {room}.",
        ],
    },
}
# What can be asked of any stretch of text, and listed from it.
PEOPLE_ASKS = ["Who is named most often in this text, and what do they do?", "Which problem is mentioned first, and was it solved?",
               "What should be done next, and by whom?", "Which statement here would you check before you print it, and why?",
               "What happened on the first day that is named?", "Which places are named, and what happens at each?",
               "What went wrong, and what went well?", "What can be said about the mood of the writer?"]
LISTS = ["all persons with what they did", "all places in the order in which they appear", "all numbers and what they count",
         "everything that was repaired, bought or given", "the three most important points", "all open questions",
         "every colour and the thing that has it", "all times of day and what happened then"]

PHRASES = [  # (language, text) of our own, for translations into English
    ("French", "Le train pour la côte part à huit heures, mais le guichet n'ouvre qu'à neuf heures."),
    ("German", "Bitte stellen Sie die Blumen ans Fenster und gießen Sie sie nur am Abend."),
    ("Spanish", "Mañana vamos al mercado porque necesitamos pan, tomates y un poco de queso."),
    ("Italian", "La chiave è sotto il vaso grande, accanto alla porta verde."),
    ("Dutch", "De fiets staat achter het huis, maar de band is al weken lek."),
    ("French", "Ma sœur a perdu son parapluie dans le bus et elle est rentrée toute mouillée."),
    ("German", "Der Schlüssel passt nicht, weil gestern das Schloss ausgetauscht wurde."),
    ("Spanish", "El perro del vecino duerme todo el día y ladra toda la noche."),
]

MESSAGES = ["The parcel came {number} days late and the box was open.", "Thank you, {name} was very kind on the telephone.",
            "Where can I change the address of my order?", "The {colour} one does not fit; please send the larger size.",
            "I have waited since {day} and heard nothing.", "Everything arrived {time}, well packed. Lovely.",
            "Is the shop in {town} open on {day}?", "My bill shows {number} items, but I bought only one.",
            "The new lamp is brighter than I hoped, I recommend it.", "Do you also sell it in {colour}?",
            "The handle broke after {number} uses.", "Please thank {name} in {town} for the quick repair."]

GOODS = [("apples", "kg"), ("nails", "boxes"), ("paint", "tins"), ("bread", "loaves"), ("tiles", "packs"), ("milk", "litres"),
         ("rope", "metres"), ("eggs", "trays"), ("coffee", "bags"), ("candles", "boxes"), ("cloth", "metres"), ("pens", "packs")]

CODE_TASKS = ["reverses a string", "counts the words of a text", "finds the largest of three numbers", "removes duplicates from a list",
              "checks whether a year is a leap year", "sums the digits of a number", "sorts names by length", "reads a CSV file",
              "prints a multiplication table", "converts Celsius to Fahrenheit", "finds the median of a list", "rolls two dice",
              "merges two sorted lists", "checks for balanced brackets", "computes a moving average"]
CODE_LANGUAGES = ["Python", "C", "JavaScript", "Rust", "Go", "Java", "SQL", "Bash"]
CODE_NOUNS = ["order", "parcel", "ticket", "sensor", "reader", "invoice", "meter", "recipe", "visitor", "booking", "loan", "route"]
CODE_FIELDS = ["weight", "price", "count", "age", "length", "score", "delay", "height"]
FUNCTIONS = [
    'def total_{field}_of_{noun}s({noun}s):\n    """The sum of {field} over all {noun}s; 0 for none."""\n    total = 0\n'
    '    for {noun} in {noun}s:\n        total += {noun}["{field}"]\n    return total\n',
    'def {noun}s_above_{field}({noun}s, limit={k}):\n    return [{noun} for {noun} in {noun}s if {noun}["{field}"] > limit]\n',
    'def longest_{noun}({noun}s):\n    best = None\n    for {noun} in {noun}s:\n'
    '        if best is None or {noun}["{field}"] > best["{field}"]:\n            best = {noun}\n    return best\n',
    'def group_{noun}s_by_{field}({noun}s):\n    groups = {{}}\n    for {noun} in {noun}s:\n'
    '        groups.setdefault({noun}["{field}"], []).append({noun})\n    return groups\n',
    'def mean_{field}_of_{noun}({noun}s):\n    values = [{noun}["{field}"] for {noun} in {noun}s]\n'
    '    return sum(values) / len(values)  # what if there are none?\n',
    'def read_{noun}s(path):\n    {noun}s = []\n    with open(path, encoding="utf-8") as file:\n        for line in file:\n'
    '            name, {field} = line.rstrip().split(";")\n'
    '            {noun}s.append({{"name": name, "{field}": float({field})}})\n    return {noun}s\n',
    'def retry_{noun}(send, tries={k}):\n    for attempt in range(tries):\n        if send("{noun}", attempt):\n'
    '            return True\n    return False\n',
    'class {Noun}Queue:\n    def __init__(self, most={k}):\n        self.most = most\n        self.waiting = []\n\n'
    '    def add(self, {noun}):\n        if len(self.waiting) >= self.most:\n            raise ValueError("too many {noun}s")\n'
    '        self.waiting.append({noun})\n\n    def next(self):\n        return self.waiting.pop(0) if self.waiting else None\n',
    'def clean_{noun}_{field}(text):\n    text = text.strip().replace(",", ".")\n    if not text:\n'
    '        raise ValueError("{field} of the {noun} is missing")\n    return float(text)\n',
]
