"""Holds what Chorus and Presidio find against the labels, and prints JSON lines.

Usage: compare.py SENTENCES FOUND, where line n of FOUND is what `--find` printed for line n of SENTENCES.

A label is found where findings of its kind cover at least half of it; a finding is right where it lies at least half on
labels of its kind. Presidio's recognisers of patterns run without a language model and without its words of context,
which need one; their checksums do run. Each sentence is given to the recognisers of its language, as Presidio's engine
does, and to those of the whole world where its language has none (`xx`). `presidio` counts every result, as its engine
does by default, `presidio_50` those with a score of at least 0.5.
"""

import collections
import inspect
import json
import sys

import presidio_analyzer.predefined_recognizers as predefined
import tldextract.tldextract
from presidio_analyzer import LocalRecognizer, PatternRecognizer

# The list of top-level domains that came with the package, not one from the network.
tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=())

PATTERNED = ["card", "iban", "email", "national_id", "ip_address", "mac_address", "secret", "private_key", "credential_url", "wallet"]
# What Presidio's entities are here. Absent: what is personal to nobody (UUID, URL without credentials).
ENTITIES = {
    "EMAIL_ADDRESS": "email",
    "PHONE_NUMBER": "phone",
    "IBAN_CODE": "iban",
    "CREDIT_CARD": "card",
    "CRYPTO": "wallet",
    "IP_ADDRESS": "ip_address",
    "MAC_ADDRESS": "mac_address",
    "DATE_TIME": "birth_date",
    "UK_POSTCODE": "address",
    "DE_PLZ": "address",
    "CA_POSTAL_CODE": "address",
    "US_BANK_NUMBER": "bank_account",
    "ABA_ROUTING_NUMBER": "bank_account",
}
IGNORED = ("UUID", "URL", "VEHICLE", "LICENSE_PLATE", "KFZ")
DOCUMENTS = ("PASSPORT", "LICENSE", "LICENCE", "ID_CARD", "IDENTITY_CARD", "FUEHRERSCHEIN")


def kind_of(entity):
    if entity in ENTITIES:
        return ENTITIES[entity]
    if any(part in entity for part in IGNORED):
        return None
    return "document" if any(part in entity for part in DOCUMENTS) else "national_id"


def recognisers():
    """One instance of every recogniser that needs no language model, by language; "" are those for all."""
    made = collections.defaultdict(list)
    for _, made_of in inspect.getmembers(predefined, inspect.isclass):
        if not issubclass(made_of, LocalRecognizer) or inspect.isabstract(made_of):
            continue
        is_pattern = issubclass(made_of, PatternRecognizer) or made_of.__name__ == "PhoneRecognizer"
        if not is_pattern or made_of is PatternRecognizer:
            continue
        try:
            recogniser = made_of()
        except (TypeError, ValueError) as error:
            print(f"{made_of.__name__} left out: {error}", file=sys.stderr)
            continue
        generic = "country_specific" not in made_of.__module__
        made["" if generic else recogniser.supported_language].append(recogniser)
    return made


def presidio(sentence, made, everywhere):
    lang = sentence["lang"]
    chosen = made[""] + (made[lang] if lang in made else everywhere)
    found = {}
    for recogniser in chosen:
        entities = recogniser.supported_entities
        for result in recogniser.analyze(sentence["text"], entities, nlp_artifacts=None) or []:
            kind = kind_of(result.entity_type)
            if kind:
                key = (kind, result.start, result.end)
                found[key] = max(found.get(key, 0), result.score)
    return [[*key, score] for key, score in found.items()]


def shared(a, b):
    return max(0, min(a[1], b[1]) - max(a[0], b[0]))


class Tally:
    def __init__(self):
        self.labels = self.labels_found = self.findings = self.right = 0

    def add(self, labels, findings):
        for start, end in labels:
            covered = sum(shared((start, end), finding) for finding in findings)
            self.labels += 1
            self.labels_found += covered * 2 >= end - start
        for start, end in findings:
            covered = sum(shared((start, end), label) for label in labels)
            self.findings += 1
            self.right += covered * 2 >= end - start

    def precision(self):
        return self.right / self.findings if self.findings else None

    def recall(self):
        return self.labels_found / self.labels if self.labels else None


def report(system, case, value, count):
    if value is not None:
        value = round(value, 4)
        print(json.dumps({"bench": "privacy", "system": system, "case": case, "value": value, "unit": "share", "count": count}))


def main():
    sentences = [json.loads(line) for line in open(sys.argv[1])]
    found = [json.loads(line) for line in open(sys.argv[2])]
    assert len(sentences) == len(found), "one line of findings per sentence"
    systems = {"chorus": [[[kind, start, end, confidence / 100] for kind, _, start, end, confidence in line] for line in found]}
    if "--chorus-only" not in sys.argv:
        made = recognisers()
        everywhere = [recogniser for lang, group in made.items() if lang for recogniser in group]
        systems["presidio"] = [presidio(sentence, made, everywhere) for sentence in sentences]
        systems["presidio_50"] = [[result for result in line if result[3] >= 0.5] for line in systems["presidio"]]
    if "--errors" in sys.argv:
        return errors(sentences, systems["chorus"])

    for system, lines in systems.items():
        tallies = collections.defaultdict(Tally)
        for sentence, results in zip(sentences, lines):
            labelled = collections.defaultdict(list)
            resulted = collections.defaultdict(list)
            for kind, _, start, end in sentence["spans"]:
                labelled[kind].append((start, end))
            urls = labelled["credential_url"]
            for kind, start, end, _ in results:
                # `password@host` inside a URL looks like e-mail: neither right nor wrong.
                if kind != "email" or not any(shared((start, end), url) for url in urls):
                    resulted[kind].append((start, end))
            where = "" if sentence["set"] == "main" else "_held_out"
            for kind in sorted({*labelled, *resulted}):
                cases = [(kind, sentence["lang"] + where), (kind, "all" + where)]
                if kind in PATTERNED:
                    cases.append(("patterned", "all" + where))
                for case in cases:
                    tallies[case].add(labelled[kind], resulted[kind])
        for (kind, lang), tally in sorted(tallies.items()):
            # `precision_patterned` is over the main set; others name kind and language.
            name = kind if lang == "all" else f"{kind}_{lang.removeprefix('all_')}"
            report(system, f"precision_{name}", tally.precision(), tally.findings)
            report(system, f"recall_{name}", tally.recall(), tally.labels)


def errors(sentences, lines):
    """Prints what Chorus missed and what it made up."""
    for sentence, results in zip(sentences, lines):
        labels = [(kind, start, end) for kind, _, start, end in sentence["spans"]]
        for kind, start, end in labels:
            covered = sum(shared((start, end), (a, b)) for other, a, b, _ in results if other == kind)
            if covered * 2 < end - start:
                print("MISSED", sentence["set"], sentence["lang"], sentence["label"], repr(sentence["text"]), results)
        for kind, start, end, confidence in results:
            covered = sum(shared((start, end), (a, b)) for other, a, b in labels if other == kind)
            if covered * 2 < end - start:
                print("MADE UP", sentence["set"], sentence["lang"], kind, confidence, repr(sentence["text"][start:end]), repr(sentence["text"]))


main()
