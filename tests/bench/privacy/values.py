"""Values of every kind: from Faker where it makes valid ones, else random ones that python-stdnum accepts."""

import base64
import datetime
import hashlib
import importlib
import string

HEX = "0123456789abcdef"
UPPER = string.ascii_uppercase
# Not counted from today, so that every run makes the same.
BIRTHS = (datetime.date(1936, 1, 1), datetime.date(2007, 12, 31))
ALNUM = string.ascii_letters + string.digits


def shaped(rng, shape):
    """9 a digit, A a capital, h a hex digit, * a letter or digit; the rest stands for itself."""
    make = {"9": string.digits, "A": UPPER, "h": HEX, "*": ALNUM, "N": "123456789"}
    return "".join(rng.choice(make[c]) if c in make else c for c in shape)


def valid(module, shape):
    """Returns a maker of random numbers of `shape` that stdnum's `module` accepts."""
    check = importlib.import_module("stdnum." + module).is_valid

    def make(rng, _):
        while True:
            number = shaped(rng, shape)
            if check(number):
                return number

    return make


def dated(module, form, tail):
    """The same with a date of birth in front, in strftime's `form`."""
    check = importlib.import_module("stdnum." + module).is_valid

    def make(rng, fake):
        while True:
            number = fake.date_between_dates(*BIRTHS).strftime(form) + shaped(rng, tail)
            if check(number):
                return number

    return make


def grouped(make, *layouts):
    """Writes the number plain or with separators, such as `3 3 4` or `3-2-4`."""

    def write(rng, fake):
        number = make(rng, fake)
        layout = rng.choice(layouts)
        if not layout:
            return number
        out, at = "", 0
        for char in layout:
            if char.isdigit():
                out += number[at : at + int(char)]
                at += int(char)
            else:
                out += char
        return out + number[at:]

    return write


def nric(rng, _):
    lead = rng.choice("STFG")
    digits = shaped(rng, "9999999")
    total = sum(int(d) * w for d, w in zip(digits, (2, 7, 6, 5, 4, 3, 2))) + (4 if lead in "TG" else 0)
    return lead + digits + ("JZIHGFEDCBA" if lead in "ST" else "XWUTRQPNMLK")[total % 11]


def nino(rng, _):
    while True:
        lead = rng.choice("ABCEGHJKLMNOPRSTWXYZ") + rng.choice("ABCEGHJKLMNPRSTWXYZ")
        if lead not in ("BG", "GB", "NK", "KN", "TN", "NT", "ZZ"):
            return lead + shaped(rng, "999999") + rng.choice("ABCD")


def mbi(rng, _):
    make = {"C": "123456789", "A": "ACDEFGHJKMNPQRTUVWXY", "N": string.digits}
    make["X"] = make["A"] + make["N"]
    return "".join(rng.choice(make[c]) for c in "CAXNAXNAANN")


def from_faker(method):
    return lambda _, fake: str(getattr(fake, method)())


# Kind, name, maker, by the locale's language or country.
IDS = {
    "en_US": [
        ("us_ssn", from_faker("ssn")),
        ("us_itin", from_faker("itin")),
        ("us_mbi", grouped(mbi, "", "4-3-4")),
    ],
    "en_GB": [
        ("uk_nhs", grouped(valid("gb.nhs", "9999999999"), "3 3 4", "3-3-4")),
        ("uk_nino", grouped(nino, "", "2 2 2 2 1")),
    ],
    "en_CA": [("ca_sin", from_faker("ssn"))],
    "en_AU": [
        ("au_tfn", grouped(valid("au.tfn", "999999999"), "3 3 3")),
        ("au_abn", grouped(valid("au.abn", "99999999999"), "2 3 3 3", "")),
    ],
    "en_IN": [
        ("in_aadhaar", grouped(valid("in_.aadhaar", "N99999999999"), "4 4 4", "")),
        ("in_pan", valid("in_.pan", "AAAPA9999A")),
    ],
    "en_SG": [("sg_nric", nric)],
    "de_DE": [
        ("de_tax", grouped(valid("de.idnr", "N9999999999"), "2 3 3 3", "")),
        ("de_pension", from_faker("rvnr")),
        ("de_vat", valid("de.vat", "DE999999999")),
    ],
    "de_AT": [("at_svnr", lambda rng, fake: at_svnr(rng, fake))],
    "de_CH": [("ch_ahv", grouped(valid("ch.ssn", "7569999999999"), "3.4.4.2"))],
    "fr_FR": [("fr_nir", grouped(from_faker("ssn"), "", "1 2 2 2 3 3 2"))],
    "fr_CH": [("ch_ahv", from_faker("ssn"))],
    "fr_BE": [("be_nn", grouped(dated("be.nn", "%y%m%d", "99999"), "2.2.2-3.2", ""))],
    "es_ES": [
        ("es_dni", from_faker("nif")),
        ("es_nie", from_faker("nie")),
        ("es_nuss", from_faker("nuss")),
    ],
    "es_MX": [("mx_curp", from_faker("curp"))],
    "es_CL": [("cl_rut", from_faker("person_rut"))],
    "it_IT": [("it_cf", from_faker("ssn"))],
    "pl_PL": [("pl_pesel", from_faker("ssn"))],
    "sv_SE": [("se_personnummer", from_faker("ssn"))],
    "nl_NL": [("nl_bsn", from_faker("ssn"))],
    "fi_FI": [("fi_hetu", from_faker("ssn"))],
    "pt_BR": [("br_cpf", from_faker("cpf"))],
    "no_NO": [("no_fnr", from_faker("ssn"))],
    "tr_TR": [("tr_tckn", from_faker("ssn"))],
}


def at_svnr(rng, fake):
    check = importlib.import_module("stdnum.at.vnr").is_valid
    while True:
        number = shaped(rng, "N999") + fake.date_between_dates(*BIRTHS).strftime("%d%m%y")
        if check(number):
            return rng.choice([number, number[:4] + " " + number[4:]])


def iban(rng, fake):
    text = fake.iban()
    if rng.random() < 0.5:
        text = " ".join(text[at : at + 4] for at in range(0, len(text), 4))
    return text


def card(rng, fake):
    text = fake.credit_card_number()
    if len(text) == 16 and rng.random() < 0.5:
        text = rng.choice(" -").join(text[at : at + 4] for at in range(0, 16, 4))
    return text


def secret(rng, _):
    alnum = lambda n: shaped(rng, "*" * n)
    return rng.choice(
        [
            lambda: "AKIA" + "".join(rng.choice(UPPER + "234567") for _ in range(16)),
            lambda: "ghp_" + alnum(36),
            lambda: "glpat-" + alnum(20),
            lambda: "xoxb-" + shaped(rng, "999999999999-999999999999-") + alnum(24),
            lambda: "sk_live_" + alnum(24),
            lambda: "AIza" + alnum(35),
            lambda: "sk-proj-" + alnum(48),
            lambda: "sk-ant-api03-" + alnum(90),
            lambda: "npm_" + alnum(36),
            lambda: "pypi-AgEIcHlwaS5vcmc" + alnum(70),
            lambda: "SG." + alnum(22) + "." + alnum(43),
            lambda: "hf_" + alnum(34),
            lambda: jwt(rng),
        ]
    )()


def jwt(rng):
    part = lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    return part('{"alg":"HS256","typ":"JWT"}') + "." + part('{"sub":"%s"}' % shaped(rng, "9999999999")) + "." + shaped(rng, "*" * 43)


def private_key(rng, _):
    kind = rng.choice(["RSA PRIVATE KEY", "PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY"])
    lines = [base64.b64encode(rng.randbytes(48)).decode() for _ in range(rng.randrange(3, 8))]
    return f"-----BEGIN {kind}-----\n" + "\n".join(lines) + f"\n-----END {kind}-----"


def bitcoin(rng, _):
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    payload = bytes([rng.choice([0, 5])]) + rng.randbytes(20)
    payload += hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]
    number, text = int.from_bytes(payload), ""
    while number:
        number, rest = divmod(number, 58)
        text = alphabet[rest] + text
    return "1" * (len(payload) - len(payload.lstrip(b"\0"))) + text


def wallet(rng, fake):
    return rng.choice([bitcoin(rng, fake), "0x" + shaped(rng, "h" * 40)])


def credential_url(rng, fake):
    scheme = rng.choice(["https", "postgres", "mongodb+srv", "redis", "ftp", "amqp"])
    return f"{scheme}://{fake.user_name()}:{shaped(rng, '*' * 10)}@{fake.domain_name()}/{fake.uri_path()}"


def user_path(rng, fake):
    name = fake.user_name()
    end = fake.file_name(extension=rng.choice(["txt", "csv", "pdf"]))
    return rng.choice(
        [
            f"/home" + f"/{name}/data/{end}",
            f"/Users" + f"/{name}/Documents/{end}",
            f"C:\\Users\\{name}\\Desktop\\{end}",
        ]
    )


def birth_date(rng, fake, lang):
    date = fake.date_between_dates(*BIRTHS)
    forms = {
        "en": ["%m/%d/%Y", "%Y-%m-%d", "%d %B %Y", "%B %d, %Y", "%d/%m/%Y"],
        "de": ["%d.%m.%Y", "%d.%m.%y", "%Y-%m-%d", "%-d. %B %Y"],
        "fr": ["%d/%m/%Y", "%d-%m-%Y", "%-d %B %Y", "%d.%m.%Y"],
        "es": ["%d/%m/%Y", "%d-%m-%Y", "%-d de %B de %Y"],
    }
    months = {
        "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
        "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
        "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    }
    form = rng.choice(forms.get(lang, forms["de"][:3]))
    if "%B" in form and lang in months:
        form = form.replace("%B", months[lang].split()[date.month - 1])
    return date.strftime(form)


def email(rng, fake):
    return rng.choice([fake.email, fake.company_email, fake.ascii_free_email])()


KINDS = {
    "email": email,
    "phone": lambda rng, fake: fake.phone_number(),
    "iban": iban,
    "card": card,
    "ip_address": lambda rng, fake: rng.choice([fake.ipv4, fake.ipv4, fake.ipv6])(),
    "mac_address": lambda rng, fake: rng.choice([fake.mac_address(), fake.mac_address().upper().replace(":", "-")]),
    "credential_url": credential_url,
    "secret": secret,
    "private_key": private_key,
    "wallet": wallet,
    "user_path": user_path,
    "address": lambda rng, fake: fake.address(),
    "person_name": lambda rng, fake: fake.name(),
}


def failing(make, rng, fake):
    """Changes one digit so that the check fails (or the number is another, still failing its own check)."""
    text = make(rng, fake)
    at = [index for index, char in enumerate(text) if char.isdigit()][-1]
    return text[:at] + str((int(text[at]) + rng.randrange(1, 10)) % 10) + text[at + 1 :]


def lookalike(rng, fake):
    """Something that is personal to nobody and looks as if it were."""
    isbn = lambda: fake.isbn13(separator=rng.choice(["-", ""]))
    return rng.choice(
        [
            lambda: ("order", shaped(rng, rng.choice(["99999999", "9999999999", "999-9999999-9999999", "AA-99999999"]))),
            lambda: ("version", f"{rng.randrange(20)}.{rng.randrange(30)}.{rng.randrange(300)}"),
            lambda: ("version", f"{rng.randrange(20)}.{rng.randrange(30)}.{rng.randrange(99)}.{rng.randrange(99)}"),
            lambda: ("time", fake.iso8601(end_datetime=datetime.datetime(2026, 1, 1))),
            lambda: ("time", str(rng.randrange(1_500_000_000, 1_800_000_000))),
            lambda: ("time", str(rng.randrange(1_500_000_000_000, 1_800_000_000_000))),
            lambda: ("time", f"{rng.randrange(24):02}:{rng.randrange(60):02}:{rng.randrange(60):02}"),
            lambda: ("hash", hashlib.md5(rng.randbytes(8)).hexdigest()),
            lambda: ("hash", hashlib.sha256(rng.randbytes(8)).hexdigest()),
            lambda: ("commit", hashlib.sha1(rng.randbytes(8)).hexdigest()[: rng.choice([7, 10, 40])]),
            lambda: ("place", f"{fake.latitude()}, {fake.longitude()}"),
            lambda: ("book", isbn()),
            lambda: ("colour", "#" + shaped(rng, "hhhhhh")),
            lambda: ("id", str(fake.uuid4())),
            lambda: ("amount", f"{rng.randrange(1, 999)},{rng.randrange(1000):03}.{rng.randrange(100):02}"),
            lambda: ("card", failing(card, rng, fake)),
            lambda: ("iban", failing(iban, rng, fake)),
        ]
    )()
