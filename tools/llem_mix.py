#!/usr/bin/env python3
"""Writes llem-mix, the default data set: `tools/llem_mix.py > data/llem-mix.jsonl`.

Every text is composed from the templates and word lists of llem_mix_words.py, by a seed, with the standard library alone; a
test holds the committed file to the output. Ten kinds, 100 prompts each. Each prompt is given a length, and the lengths
follow quantiles measured once on a public reference set (docs/datasets.md compares the two). The kinds take turns along the
lengths, so that every kind is short as often as it is long, and each hundred of the file is a fair sample of the whole.
"""

import json
import math
import random
import re
import sys

import llem_mix_words as w

SEED = 20261128
N = 1000
# (share of prompts, characters): the lengths that are aimed at.
QUANTILES = [(0, 11), (0.05, 23), (0.1, 41), (0.25, 222), (0.5, 585), (0.75, 1474), (0.9, 3552), (0.95, 6453), (0.99, 17473), (1, 85690)]


class Dice:
    """Choices that rest on random() alone, whose sequence Python keeps from version to version."""

    def __init__(self, seed):
        self.random = random.Random(seed).random

    def below(self, n):
        return int(self.random() * n)

    def one(self, items):
        return items[self.below(len(items))]

    def shuffled(self, items):
        items = list(items)
        for i in range(len(items) - 1, 0, -1):
            j = self.below(i + 1)
            items[i], items[j] = items[j], items[i]
        return items


def fill(dice, text, words):
    """The text with a word in each slot; a word is not used twice in one sentence."""
    used = set()

    def word(match):
        found = dice.one([x for x in words[match.group(1)] if x not in used])
        used.add(found)
        return fill(dice, found, words) if "{" in found else found

    return re.sub(r"\b([Aa]) (otter|owl)\b", r"\1n \2", re.sub(r"\{(\w+)\}", word, text))


def sentences(dice, domain):
    """Sentences of one domain without end, in rounds: each of its sentences once before any comes again."""
    words = w.COMMON | w.DOMAINS[domain]
    while True:
        for text in dice.shuffled(words["sentences"]):
            text = fill(dice, text, words)
            yield text[0].upper() + text[1:]


def passage(dice, length):
    """(what it is, a text of about that length): paragraphs; a long one in parts, each from another domain."""
    first = dice.one(list(w.DOMAINS))
    if length < 2400:
        return first, paragraphs(dice, first, length)
    parts, size, n = [], 0, 0
    domains = [first] + dice.shuffled([d for d in w.DOMAINS if d != first])
    while size < length - 200:
        domain = domains[n % len(domains)]
        n += 1
        part = f"Part {n}: from {domain}\n\n" + paragraphs(dice, domain, min(length - size, 1200 + dice.below(2600)))
        parts.append(part)
        size += len(part) + 2
    return "a collection of notes", "\n\n".join(parts)


def paragraphs(dice, domain, length):
    text, out = sentences(dice, domain), ""
    until_break = 3 + dice.below(4)
    while True:
        more = next(text)
        if out and len(out) + len(more) / 2 > length:
            return out
        until_break -= 1
        out += ("" if not out else "\n\n" if until_break == 0 else " ") + more
        if until_break == 0:
            until_break = 3 + dice.below(4)


def around(dice, heads, length, tail=""):
    """A task, then the passage it is about. `heads` may name {what} the passage is."""
    head = dice.one(heads)
    what, text = passage(dice, max(60, length - len(head) - len(tail) - 24))
    return f"{head.format(what=what, language=dice.one(w.LANGUAGES), tone=dice.one(w.TONES), reader=dice.one(w.READERS))}\n\n{text}{tail}"


def lines(dice, make, length):
    """Numbered lines until the length is reached."""
    out = []
    while sum(map(len, out)) + 2 * len(out) < length or not out:
        out.append(f"({len(out) + 1}) {make()}")
    return "\n".join(out)


# --- Kinds: (short forms with slots, a maker of longer ones) -------------------------------------------------------------

SLOTS = {"thing": w.THINGS, "science": w.SCIENCE, "class": w.CLASSES, "trade": w.TRADES, "animal": w.ANIMALS, "tone": w.TONES,
         "language": w.LANGUAGES, "task": w.CODE_TASKS, "code": w.CODE_LANGUAGES, "reader": w.READERS, "name": w.NAMES, "day": w.DAYS,
         "number": w.NUMBERS, "town": w.TOWNS, "noun": w.CODE_NOUNS, "colour": w.COLOURS,
         "a": [str(n) for n in range(11, 99)], "b": [str(n) for n in range(3, 60)],
         "say": ["go away", "you are late", "send it today", "I do not know", "wait outside", "this is wrong", "give me that"]}

SHORT = {
    "question": ["Why {science}?", "What causes {science}?", "How is {thing} made, and by whom?", "Who first made use of {thing}?",
                 "Why do people in {town} need {thing} on a {day}?", "Is it true that {science} cannot be seen from space?"],
    "explain": ["Explain {science}.", "Describe {thing}.", "Explain {science} to {reader}.", "Describe how a {trade} spends a {day}.",
                "Explain in {number} sentences what {science} and {science} have in common."],
    "arithmetic": ["{a} times {b}?", "What is {a} + {b}?", "What is {a} percent of {b}?", "{name} has {a} eggs and sells {b}. And now?",
                   "Round {a} divided by {b} to one decimal place, and show how."],
    "list": ["List {class}.", "Name six {class}.", "List {number} {class}.", "Name {number} things that a {trade} needs every {day}.",
             "List {number} {class} that a child would know, shortest first."],
    "story": ["Tell of a {animal}.", "A tale of a {animal}.", "Write a tale of a {animal} and a {trade}.",
              "Tell a short story of a {colour} {animal} that finds {thing}.", "Write {number} lines about a {trade} in {town}."],
    "dialogue": ["Greet a {trade}.", "Greet {name} from {town}.", "Ask a {trade} about {thing}.",
                 "You are a {trade}. {name} asks about {thing}. Answer.", "Let a {animal} and a {animal} talk about {science}."],
    "translate": ["Say {thing} in {language}.", "Put '{say}' into {language}.", "Translate into {language}: {name} likes {thing}.",
                  "How do you ask about {thing} in {language} when you are in a hurry?", "{language} for {thing}?"],
    "rewrite": ["Politely: {say}.", "Make {tone}: {say}!", "Make this {tone}: {say}.", "Rewrite for {reader}: {name} has no time.",
                "Say it another way, {tone} and in one sentence: {say}, said the {trade}."],
    "summarise": ["Sum up {science}.", "Sum up how {thing} is made.", "Summarise in one line what a {trade} does.",
                  "In {number} words, what is {thing} good for?", "Summarise for {reader} what is known about {science}."],
    "code": ["{code} loop?", "Sort {noun}s in {code}.", "{code} that {task}.", "Write a {code} function that {task}.",
             "Why would a {noun} be null in {code}, and how is it found?"],
}


def question(dice, length):
    return around(dice, ["Read the following, which is from {what}, and answer the question below it.",
                         "This is from {what}. The question stands at its end."], length, f"\n\nQuestion: {dice.one(w.PEOPLE_ASKS)}")


def explain(dice, length):
    return around(dice, ["Explain to {reader} what this text, from {what}, is about.",
                         "The text below is from {what}. Explain what a stranger would not understand.",
                         "What does the writer of {what} want to say here? Explain it sentence by sentence."], length)


def arithmetic(dice, length):
    def entry():
        goods, unit = dice.one(w.GOODS)
        return f"{dice.one(w.NAMES)} orders {2 + dice.below(40)} {unit} of {goods} at {1 + dice.below(30)}.{5 * dice.below(20):02d} each."

    head = f"A shop in {dice.one(w.TOWNS)} notes these orders. " + dice.one(
        ["What is the total?", "Who spends the most?", "What does each customer owe after a discount of 5 percent?"])
    return f"{head}\n\n{lines(dice, entry, length - len(head) - 30)}\n\nShow each step."


def listing(dice, length):
    what = dice.one(w.LISTS)
    return around(dice, [f"List {what}. The text is from {{what}}.", f"Make a table of {what} from {{what}}."], length)


def story(dice, length):
    return around(dice, ["Continue this, which is from {what}, in the same voice for ten more sentences.",
                         "Write a short story in which everything in this page from {what} turns out to be important.",
                         "Invent an ending in a {tone} tone. So far this is from {what}."], length)


def dialogue(dice, length):
    one, two = dice.shuffled(w.NAMES)[:2]
    text, out = sentences(dice, dice.one(list(w.DOMAINS))), []
    asks = ["And then?", "Are you sure?", "Who told you so?", "That surprises me.", "I had heard otherwise.", "What did you do?",
            "I would not have thought of it.", "Was that on the same day?", "Please go on."]
    head = f"Write the next three turns of this talk between {one} and {two}."
    while sum(map(len, out)) + len(out) < length - len(head) - 40 or not out:
        out += [f"{one}: {next(text)}", f"{two}: {dice.one(asks)}"]
    return head + "\n\n" + "\n".join(out)


def translate(dice, length):
    if length < 260:
        language, text = dice.one(w.PHRASES)
        verb = dice.one(["one", "the first", "the last"])
        return f"Translate from {language} into {dice.one(['English', 'simple English'])}, and explain {verb} verb: {text}"
    return around(dice, ["Translate this page from {what} into {language}.", "Translate into {language}, in a {tone} tone:"], length)


def rewrite(dice, length):
    return around(dice, ["Rewrite this text from {what} in a {tone} tone.", "Rewrite this text from {what} for {reader}.",
                         "Put this text from {what} into the present tense."], length)


def summarise(dice, length):
    if length > 200 and dice.below(3) == 0:
        head = "Sort these messages of customers into complaint, praise and question, then sum each group up in one sentence."
        return f"{head}\n\n{lines(dice, lambda: fill(dice, dice.one(w.MESSAGES), w.COMMON), length - len(head) - 30)}"
    return around(dice, ["Summarise this page from {what}.", "Summarise this page from {what} for {reader}, in {tone} words.",
                         "Give the main points of this page from {what}."], length)


def code(dice, length):
    head = dice.one(["Explain what this code does and where it may fail:", "Find the weak points of this Python code:",
                     "Write tests for the following Python code.", "Rewrite the following Python code in Go."])
    out = ""
    while not out or len(out) < length - len(head) - 140:
        noun, field = dice.one(w.CODE_NOUNS), dice.one(w.CODE_FIELDS)
        text = dice.one(w.FUNCTIONS).format(noun=noun, Noun=noun.capitalize(), field=field, k=2 + dice.below(40))
        if text not in out:
            out += "\n\n" + text
    return head + out


LONG = {"question": question, "explain": explain, "arithmetic": arithmetic, "list": listing, "story": story, "dialogue": dialogue,
        "translate": translate, "rewrite": rewrite, "summarise": summarise, "code": code}
# Long texts of these kinds have more tokens a character than prose: shorter, so that tokens, too, are as many.
DENSE, DENSE_FROM = {"code": 0.75, "arithmetic": 0.7, "dialogue": 0.9}, 300
SPARE = ["code", "arithmetic", "translate"]  # not the kinds for the longest texts


def length_at(share):
    """Characters that this share of prompts stays below; between quantiles on a scale of logarithms."""
    for (s0, n0), (s1, n1) in zip(QUANTILES, QUANTILES[1:], strict=False):
        if share <= s1:
            return round(math.exp(math.log(n0) + (math.log(n1) - math.log(n0)) * (share - s0) / (s1 - s0)))
    raise ValueError(share)


def prompt_of(dice, kind, length, taken):
    """The best of some attempts at a text of that length that is not there yet."""
    best = None
    for _ in range(400 if length < 200 else 6):
        if length < 110:
            text = fill(dice, dice.one(SHORT[kind]), SLOTS)
            text = text[0].upper() + text[1:]
        else:
            text = LONG[kind](dice, length)
        if text not in taken and len(text) >= 8 and (best is None or abs(len(text) - length) < abs(len(best) - length)):
            best = text
    taken.add(best)
    return best


def prompts(seed=SEED):
    dice, taken, out = Dice(seed), set(), []
    kinds = list(LONG)
    for block in range(N // len(kinds)):
        order = dice.shuffled(kinds)
        if (block + 1) * len(kinds) >= N:
            order.sort(key=lambda kind: kind not in SPARE)
        for i, kind in enumerate(order):
            length = length_at((block * len(kinds) + i + 0.5) / N)
            if length > DENSE_FROM:
                length = round(length * DENSE.get(kind, 1))
            out.append({"prompt": prompt_of(dice, kind, length, taken), "source": kind})
    return mixed(dice, out)


def mixed(dice, rows):
    """In hundreds that have of every kind one prompt of each tenth of its lengths."""
    tenth = N // 100
    places = [dice.shuffled(range(tenth)) for _ in range(N // tenth)]  # of each kind and tenth: which goes to which hundred
    hundreds = [[] for _ in range(N // 100)]
    by_kind = {}
    for row in rows:
        by_kind.setdefault(row["source"], []).append(row)
    for k, of_kind in enumerate(by_kind.values()):
        for i, row in enumerate(of_kind):
            hundreds[places[k * 10 + i // tenth][i % tenth]].append(row)
    return [row for hundred in hundreds for row in dice.shuffled(hundred)]


def main():
    head = {"_provenance": "llem-mix: composed by tools/llem_mix.py", "_license": "MIT", "_seed": SEED, "_count": N}
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    for row in [head, *prompts()]:
        print(json.dumps(row, ensure_ascii=False))


if __name__ == "__main__":
    main()
