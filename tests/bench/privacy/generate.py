"""Writes labelled sentences as JSON lines: text, lang, set, spans as [kind, name, start, end]."""

import json
import random
import sys

from faker import Faker
from faker.providers import BaseProvider

from templates import HELD_OUT, MAIN
from values import BIRTHS, IDS, KINDS, birth_date, lookalike


class Births(BaseProvider):
    """Dates of birth that do not count from today, for Faker's own identity numbers too."""

    def date_of_birth(self, tzinfo=None, minimum_age=0, maximum_age=115):
        return self.generator.date_between_dates(*BIRTHS)

    def past_datetime(self, *_, **__):
        return self.generator.date_time_between_dates(*BIRTHS)

    date_time = past_datetime
    date_time_ad = past_datetime


SEED = 20260101
MAIN_LOCALES = {
    "en": ["en_US", "en_CA", "en_AU", "en_GB", "en_IN", "en_US"],
    "de": ["de_DE", "de_DE", "de_AT", "de_CH"],
    "fr": ["fr_FR", "fr_FR", "fr_CH"],
    "es": ["es_ES", "es_ES", "es_MX", "es_CL"],
}
HELD_OUT_LOCALES = {
    "en": ["en_GB", "en_IE", "en_NZ", "en_IN", "en_CA"],
    "de": ["de_AT", "de_CH", "de_LU"],
    "fr": ["fr_CH", "fr_CA", "fr_BE"],
    "es": ["es_MX", "es_CO", "es_AR", "es_CL"],
    "xx": ["it_IT", "pl_PL", "sv_SE", "nl_NL", "pt_BR", "fi_FI", "no_NO", "tr_TR"],
}
PROSE = {
    "en": "The model learns from what the others found. Nothing is uploaded that you did not choose. It took three hours on "
    "a laptop. The meeting on Monday was moved to Room 12. Prices rose by 3.5 percent in March. Chapter 4 explains the rules. "
    "Open the door before you leave. The United Nations met in Geneva.",
    "de": "Das Modell lernt von den anderen. Nichts wird geladen, was Sie nicht gewählt haben. Es dauerte drei Stunden. Die "
    "Sitzung am Montag findet in Raum 12 statt. Die Preise stiegen um 3,5 Prozent. Kapitel 4 erklärt die Regeln. Bitte die Tür "
    "schließen. Der Bundestag tagt in Berlin.",
    "fr": "Le modèle apprend des autres. Rien ne part sans votre accord. Cela a duré trois heures. La réunion de lundi aura lieu "
    "en salle 12. Les prix ont augmenté de 3,5 pour cent. Le chapitre 4 explique les règles. Fermez la porte. Le Parlement siège "
    "à Paris.",
    "es": "El modelo aprende de los demás. Nada se envía sin su permiso. Tardó tres horas. La reunión del lunes será en la sala "
    "12. Los precios subieron un 3,5 por ciento. El capítulo 4 explica las reglas. Cierre la puerta. El Congreso está en Madrid.",
}


def identity_locales(lang, locales):
    """Locales whose identity numbers are drawn: those of the language's countries."""
    known = [locale for locale in IDS if locale in locales or (lang == locale[:2] and lang in MAIN and lang != "xx")]
    return known or [locale for locale in locales if locale in IDS]


def sentences(name, templates, locales, per_kind, negatives):
    for lang in locales:
        rng = random.Random(f"{SEED} {name} {lang}")
        fakes = {}

        def fake(locale):
            if locale not in fakes:
                # Faker lacks some locales: their nearest is taken.
                nearest = {"en_SG": "en_IN", "de_LU": "de_DE", "fr_BE": "fr_FR"}.get(locale, locale)
                fakes[locale] = Faker(nearest)
                fakes[locale].add_provider(Births)
                fakes[locale].seed_instance(f"{SEED} {name} {locale}")
            return fakes[locale]

        own = templates[lang]

        def sentence(options, kind, label, value):
            template = rng.choice(options)
            start = template.index("{x}")
            # Addresses have lines; a sentence has them too.
            text = template.replace("{x}", value)
            spans = [[kind, label, start, start + len(value)]] if kind else []
            return {"text": text, "lang": lang, "set": name, "label": label, "spans": spans}

        for kind in own:
            if kind in ("any", "id", "none"):
                continue
            for _ in range(per_kind):
                person = fake(rng.choice(locales[lang]))
                if kind == "birth_date":
                    value = birth_date(rng, person, lang)
                else:
                    value = KINDS[kind](rng, person)
                yield sentence(own[kind], kind, kind, value)

        makers = [(locale, maker) for locale in identity_locales(lang, locales[lang]) for maker in IDS[locale]]
        for number in range(per_kind * 2):
            locale, (label, make) = makers[number % len(makers)]
            options = own["id"].get(label) or own["id"].get("")
            if options:
                yield sentence(options, "national_id", label, make(rng, fake(locale)))

        for _ in range(negatives):
            person = fake(rng.choice(locales[lang]))
            label, value = lookalike(rng, person)
            options = own["none"].get(label) or own["none"].get("")
            yield sentence(options, None, label, value)
        for _ in range(negatives // 4):
            if lang in PROSE:
                parts = PROSE[lang].split(". ")
                yield {"text": ". ".join(rng.sample(parts, 3)), "lang": lang, "set": name, "label": "prose", "spans": []}


def main():
    # Some of Faker's providers draw from Python's own generator.
    random.seed(SEED)
    sets = [
        ("main", MAIN, MAIN_LOCALES, 70, 420),
        ("held_out", HELD_OUT, HELD_OUT_LOCALES, 40, 240),
    ]
    wanted = sys.argv[1:] or [name for name, *_ in sets]
    for name, *rest in sets:
        if name in wanted:
            for sentence in sentences(name, *rest):
                print(json.dumps(sentence, ensure_ascii=False))


main()
