"""Forges and damages workload tokens by the hundred, family by family; each must be refused.

Whatever is not the subject of a family is honest, and signed so that it would hold. The cluster has a key of its own here.
"""

import base64
import itertools
import json
import random
import time
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from service.core.secret import Secret
from tests.adapters.svid_tokens import forged_svids, honest_svids
from tests.adapters.tokens import (
    AUDIENCE,
    CLUSTER,
    COMPANY,
    EC_KEY,
    ED_KEY,
    KIDS,
    OTHER_RSA_KEY,
    RSA_KEY,
    SIGNERS,
    Forge,
    b64,
    claims,
    jwk_set,
    pod,
    public_jwk,
    token,
)

Cases = dict[str, str]
COMPANY_SET = jwk_set(
    public_jwk("rsa", RSA_KEY), public_jwk("ec", EC_KEY), public_jwk("ed", ED_KEY)
)
CLUSTER_SET = jwk_set(public_jwk("cluster", OTHER_RSA_KEY), public_jwk("cluster-ed", ED_KEY))
EVIL = "http://127.0.0.1:9/keys"
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ED_ORDER = 2**252 + 27742317777372353535851937790883648493
# The points of order 1, 2, 4 and 8, and spellings of them that are not canonical.
SMALL_ORDER = (
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
)
NO_TEXT: tuple[Any, ...] = ("", 0, 1, -1, 1.5, True, False, [], {}, [[]])


def sealed(header: Any, payload: Any, sign: Callable[[bytes], bytes]) -> str:
    """Return a token of exactly these bytes (or values) with what ``sign`` makes of them."""
    parts = (
        part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)
    )
    text = ".".join(b64(part) for part in parts)
    return f"{text}.{b64(sign(text.encode()))}"


def always(made: bytes) -> Callable[[bytes], bytes]:
    """Return what signs everything with the same bytes."""
    return lambda _: made


def by_rsa(pad: padding.AsymmetricPadding, digest: Any) -> Callable[[bytes], bytes]:
    """Return what signs with the right RSA key, in another way."""
    return lambda text: RSA_KEY.sign(text, pad, digest)


def cluster(payload: dict[str, Any] | None = None, kid: str = "cluster") -> str:
    """Return a token that the cluster signed honestly."""
    return Forge("RS256", OTHER_RSA_KEY).sign({"alg": "RS256", "kid": kid}, payload or pod())


def _none() -> Cases:
    spelled = ["".join(letters) for letters in itertools.product("nN", "oO", "nN", "eE")]
    odd = [
        "none ",
        " none",
        "none\n",
        "none\0",
        "n\u043ene",
        "\uff4eone",
        "",
        "null",
        None,
        *NO_TEXT,
    ]
    good = base64.urlsafe_b64decode(token().rsplit(".", 1)[1] + "==")
    return {
        f"{algorithm!r} with {len(signature)} bytes": sealed(
            {"alg": algorithm, "kid": "rsa"}, claims(), always(signature)
        )
        for algorithm in [*spelled, *odd]
        for signature in (b"", b"garbage", good)
    }


def _hmac() -> Cases:
    public, jwk = RSA_KEY.public_key(), public_jwk("rsa", RSA_KEY)
    info = PublicFormat.SubjectPublicKeyInfo
    secrets = {
        "PEM": public.public_bytes(Encoding.PEM, info),
        "PEM without its last line feed": public.public_bytes(Encoding.PEM, info).rstrip(),
        "DER": public.public_bytes(Encoding.DER, info),
        "PKCS1": public.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        "JWK": json.dumps(jwk).encode(),
        "JWK in short": json.dumps(jwk, separators=(",", ":"), sort_keys=True).encode(),
        "n": jwk["n"].encode(),
        "n bytes": public.public_numbers().n.to_bytes(256),
        "x": public_jwk("ed", ED_KEY)["x"].encode(),
        "x bytes": ED_KEY.public_key().public_bytes_raw(),
        "point": EC_KEY.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
        "nothing": b"\0",
    }
    digests = {"HS256": hashes.SHA256(), "HS384": hashes.SHA384(), "HS512": hashes.SHA512()}

    def forge(name: str, kid: str, digest: Any, secret: bytes) -> str:
        def sign(text: bytes) -> bytes:
            mac = hmac.HMAC(secret, digest)
            mac.update(text)
            return mac.finalize()

        return sealed({"alg": name, "kid": kid}, claims(), sign)

    return {
        f"{stated} made with {what}, kid {kid}": forge(stated, kid, digest, secret)
        for what, secret in secrets.items()
        for name, digest in digests.items()
        for stated, kid in ((name, "rsa"), (name, "ed"), ("RS256", "rsa"))
    }


def _confused_keys() -> Cases:
    algorithms = ["RS256", "PS256", "ES256", "EdDSA"]
    cases = {
        f"{stated} for kid {kid}, made as {made}": Forge(made, SIGNERS[made]).sign(
            {"alg": stated, "kid": kid}, claims()
        )
        for stated, made, kid in itertools.product(algorithms, algorithms, ("rsa", "ec", "ed"))
        if stated != made or kid != KIDS[stated]
    }
    for stated in ("RS256", "PS256"):
        header = {"alg": stated, "kid": "rsa"}
        cases[f"{stated} by another key"] = Forge(stated, OTHER_RSA_KEY).sign(header, claims())
    for stated in ("RS384", "RS512", "PS384", "PS512"):
        header = {"alg": stated, "kid": "rsa"}
        cases[f"{stated} by the right key"] = Forge(stated, RSA_KEY).sign(header, claims())
    for stated in (
        "RS1",
        "RS384",
        "RS512",
        "PS384",
        "ES384",
        "ES256K",
        "ES512",
        "Ed25519",
        "rs256",
        "EDDSA",
    ):
        for kid in ("rsa", "ec", "ed"):
            cases[f"{stated} stated for kid {kid}"] = token(
                {"rsa": "RS256", "ec": "ES256", "ed": "EdDSA"}[kid], alg=stated
            )
    return cases


def _broken_rsa() -> Cases:
    modulus, short = RSA_KEY.public_key().public_numbers().n, hashes.SHA1()  # noqa: S303 — it is the forgery
    mgf = padding.MGF1(hashes.SHA256())
    paddings: dict[str, tuple[padding.AsymmetricPadding, Any]] = {
        "PKCS1 over SHA-1": (padding.PKCS1v15(), short),
        "PKCS1 over SHA-512": (padding.PKCS1v15(), hashes.SHA512()),
        "PSS with no salt": (padding.PSS(mgf, 0), hashes.SHA256()),
        "PSS with a long salt": (padding.PSS(mgf, padding.PSS.MAX_LENGTH), hashes.SHA256()),
        "PSS masked by SHA-1": (padding.PSS(padding.MGF1(short), 32), hashes.SHA256()),
    }
    numbers = {"0": 0, "1": 1, "n - 1": modulus - 1, "n": modulus, "all ones": 2**2048 - 1}
    fixed = {f"number {what}": number.to_bytes(256) for what, number in numbers.items()}
    cases = {}
    for stated in ("RS256", "PS256"):
        header = {"alg": stated, "kid": "rsa"}
        for what, (pad, digest) in paddings.items():
            cases[f"{stated}: {what}"] = sealed(header, claims(), by_rsa(pad, digest))
        for what, content in fixed.items():
            cases[f"{stated}: {what}"] = sealed(header, claims(), always(content))
    return cases


def _broken_curves() -> Cases:
    wide = ec.generate_private_key(ec.SECP384R1())

    def raw(r: int, s: int) -> bytes:
        return r.to_bytes(32) + s.to_bytes(32)

    def der(text: bytes) -> bytes:
        return EC_KEY.sign(text, ec.ECDSA(hashes.SHA256()))

    def honest(text: bytes) -> tuple[int, int]:
        return decode_dss_signature(der(text))

    signs: dict[str, Callable[[bytes], bytes]] = {
        "DER": der,
        "swapped": lambda text: raw(*reversed(honest(text))),
        "little end first": lambda text: raw(*honest(text))[::-1],
        "one byte less": lambda text: raw(*honest(text))[:-1],
        "one byte more": lambda text: raw(*honest(text)) + b"\0",
        "two numbers wide": lambda text: b"".join(n.to_bytes(48) for n in honest(text)),
        "r only": lambda text: raw(honest(text)[0], 0),
        "s only": lambda text: raw(0, honest(text)[1]),
        "of SHA-384": lambda text: raw(
            *decode_dss_signature(EC_KEY.sign(text, ec.ECDSA(hashes.SHA384())))
        ),
        "on P-384": lambda text: wide.sign(text, ec.ECDSA(hashes.SHA256())),
    }
    for r, s in itertools.product((0, 1, ORDER - 1, ORDER, 2**256 - 1), repeat=2):
        signs[f"r {r:x} s {s:x}"] = always(raw(r, s))
    cases = {
        f"ES256: {what}": sealed({"alg": "ES256", "kid": "ec"}, claims(), sign)
        for what, sign in signs.items()
    }

    def beyond(text: bytes) -> bytes:
        made = ED_KEY.sign(text)
        return made[:32] + (int.from_bytes(made[32:], "little") + ED_ORDER).to_bytes(32, "little")

    bent: dict[str, Callable[[bytes], bytes]] = {
        "S beyond the order": beyond,
        "halves swapped": lambda text: ED_KEY.sign(text)[32:] + ED_KEY.sign(text)[:32],
        "one byte less": lambda text: ED_KEY.sign(text)[:-1],
        "one byte more": lambda text: ED_KEY.sign(text) + b"\0",
    }
    for point, scalar in itertools.product(SMALL_ORDER, (0, 1, ED_ORDER)):
        bent[f"R {point} S {scalar}"] = always(bytes.fromhex(point) + scalar.to_bytes(32, "little"))
    header = {"alg": "EdDSA", "kid": "ed"}
    return cases | {f"EdDSA: {what}": sealed(header, claims(), sign) for what, sign in bent.items()}


def _kids() -> Cases:
    strange = {
        "a path": "../../../../dev/null",
        "a file": "file:///etc/passwd",
        "an address": EVIL,
        "SQL": "rsa' OR '1'='1' --",
        "a shell's": "rsa; curl " + EVIL,
        "long": "k" * 5000,
        "look-alike": "r\u0455a",
        "full width": "\uff52\uff53\uff41",
        "NUL behind": "rsa\0",
        "blank behind": "rsa ",
        "line feed behind": "rsa\n",
        "upper case": "RSA",
        "another issuer's": "cluster",
        "an attribute": "__class__",
    }
    cases = {what: token(kid=kid) for what, kid in strange.items()}
    cases |= {f"{kid!r}": token(kid=kid) for kid in (*NO_TEXT, ["rsa"], {"rsa": 1})}
    cases |= {"missing": token(kid=None), "null": _header(b'{"alg":"RS256","kid":null}')}
    cases["the company's key for the cluster"] = token(payload=pod())
    cases["the cluster's key for the company"] = cluster(claims())
    cases["the cluster's key under the company's kid"] = cluster(claims(), "rsa")
    return cases


def _header(content: bytes) -> str:
    return Forge().sign(content, claims())


def _headers() -> Cases:
    evil_jwk = public_jwk("rsa", OTHER_RSA_KEY)
    values: dict[str, tuple[Any, ...]] = {
        "jwk": (evil_jwk, public_jwk("rsa", RSA_KEY), {}, "x"),
        "jku": (EVIL, COMPANY, "file:///etc/passwd"),
        "x5u": (EVIL, COMPANY, ""),
        "x5c": (["MIIB"], [], "MIIB"),
        "x5t": ("AAAA", ""),
        "x5t#S256": ("AAAA",),
        "crit": (["b64"], ["exp"], [], "b64"),
        "b64": (False, True),
        "zip": ("DEF", ""),
        "cty": ("JWT", ""),
        "enc": ("A256GCM",),
        "epk": (evil_jwk,),
        "iss": (COMPANY,),
        "Alg": ("none",),
        "KID": ("rsa",),
        "": ("",),
        "typ": (
            "jwt",
            "JWT ",
            "at+JWT",
            "application/at+jwt",
            "JOSE",
            "dpop+jwt",
            "\uff2aWT",
            *NO_TEXT,
        ),
    }
    cases = {
        f"{name} {value!r}": token(header={name: value})
        for name, all_ in values.items()
        for value in all_
    }
    both = {"alg": "RS256", "kid": "rsa", "crit": ["b64"], "b64": False}
    cases["crit with b64"] = Forge().sign(both, claims())
    for name in ("jwk", "jku", "x5u"):
        value = evil_jwk if name == "jwk" else EVIL
        header = {"alg": "RS256", "kid": "made-up", name: value}
        cases[f"{name} and its key"] = Forge("RS256", OTHER_RSA_KEY).sign(header, claims())
    for text in (
        '{"alg":"none","alg":"RS256","kid":"rsa"}',
        '{"alg":"RS256","kid":"x","kid":"rsa"}',
        '{"alg":"RS256","\\u0061lg":"RS256","kid":"rsa"}',
        '{"alg":"RS256","kid":"rsa","typ":"JWT","typ":"JWT"}',
        '{"alg":"RS256","kid":"rsa"}{}',
        '{"alg":"RS256","kid":"rsa",}',
        "{'alg':'RS256','kid':'rsa'}",
        '{"alg":"RS256","kid":"rsa"}\0',
        '[{"alg":"RS256","kid":"rsa"}]',
        '{"alg":"RS256","kid":"\\ud800"}',
        '"RS256"',
        "null",
        "{}",
    ):
        cases[text] = _header(text.encode())
    return cases


def _audiences() -> Cases:
    ours = AUDIENCE
    forms: tuple[Any, ...] = (
        *(
            [ours, "other"],
            ["other", ours],
            [ours, ours],
            [ours, None],
            [ours, 1],
            [[ours]],
            [None],
        ),
        *(
            ours[:-1],
            f"{ours}s",
            f"x{ours}",
            ours.upper(),
            ours.title(),
            f" {ours}",
            f"{ours} ",
            f"{ours}\0",
        ),
        *(
            ours.replace("o", "\u043e"),
            ours.replace("-", "\u2010"),
            f"{ours},other",
            f"{ours} other",
            "*",
        ),
        *([ours.upper()], [ours[:-1]], {ours: 1}, {"aud": ours}, "null", *NO_TEXT),
    )
    cases = {f"{form!r}": token(payload=claims(aud=form)) for form in forms}
    nothing = claims(aud=None)
    return cases | {
        "missing": token(payload=nothing),
        "null": token(payload={**nothing, "aud": None}),
    }


def _issuers() -> Cases:
    forms: tuple[Any, ...] = (
        *(
            f"{COMPANY}/",
            COMPANY.upper(),
            COMPANY.replace("https", "http"),
            f"{COMPANY}:443",
            f"{COMPANY}.evil.example",
        ),
        *(
            COMPANY.replace("i", "\u0456"),
            f" {COMPANY}",
            f"{COMPANY}\n",
            f"{COMPANY}\0",
            f"{COMPANY}?",
            f"{COMPANY}#x",
        ),
        *(
            EVIL,
            "corp",
            "k8s",
            "*",
            "file:///etc/passwd",
            [COMPANY],
            [COMPANY, CLUSTER],
            {COMPANY: 1},
            *NO_TEXT,
        ),
    )
    cases = {f"{form!r}": token(payload=claims(iss=form)) for form in forms}
    nothing = claims(iss=None)
    return cases | {
        "missing": token(payload=nothing),
        "null": token(payload={**nothing, "iss": None}),
    }


def _times() -> Cases:
    now = int(time.time())
    future: tuple[Any, ...] = (now + 3600, now + 3600.5, 10**15, 10**400, 1e300)
    no_time: tuple[Any, ...] = ([], {}, [now], "", "NaN", "soon", "2099-01-01T00:00:00Z")
    past = (now - 10, now - 11, now - 10.5, now - 500, 0, -1, -(10**15))
    long = tuple(now + 86_400 + more for more in (1, 0.5, 1.5, 86_400, 10**9))
    wrong: tuple[tuple[str, dict[str, Any], tuple[Any, ...]], ...] = (
        ("exp", {"iat": now - 600}, past),
        ("exp", {"iat": now}, long),
        ("exp", {}, (*future[2:], *no_time, True, False, str(now + 60), f"{now + 60}.0")),
        ("iat", {"exp": now + 7200}, future),
        ("iat", {}, (*no_time, True, False, str(now), 0, -1, -(10**15), -(10**400))),
        ("nbf", {}, (*future, *no_time)),
    )
    changes = [{**others, name: value} for name, others, values in wrong for value in values]
    cases = {f"{change}"[:80]: token("ES256", claims(**change)) for change in changes}
    for name in ("exp", "iat"):
        cases[f"{name} missing"] = token("ES256", claims(**{name: None}))
    for name in ("exp", "iat", "nbf"):
        others = json.dumps(claims(**{name: None}))[:-1]
        for literal in (
            "null",
            "NaN",
            "Infinity",
            "-Infinity",
            "1e400",
            "-1e400",
            "9" * 5000,
            "0x7fffffff",
            "01",
        ):
            content = f'{others}, "{name}": {literal}}}'.encode()
            cases[f"{name} {literal[:12]}"] = Forge().sign({"alg": "RS256", "kid": "rsa"}, content)
    return cases


def _subjects() -> Cases:
    signs = "*?#%,;\\\"'<>()[]{}!$&^`~ \t\n\r\0\x07\x1b\x7f\x80\xa0\xe9\u0430\u200b\u202e\u2028\uff0f\ufeff\U0001f511"
    forms: tuple[Any, ...] = (
        *(f"ops{sign}anna" for sign in signs),
        *(f"ops-anna{sign}" for sign in signs),
    )
    forms += ("*", "s" * 201, "s" * 3000, "%2e%2e%2f", ["ops-anna"], {"ops-anna": 1}, *NO_TEXT)
    cases = {f"{form!r}"[:60]: token("EdDSA", claims(sub=form)) for form in forms}
    nothing = claims(sub=None)
    return cases | {
        "missing": token(payload=nothing),
        "null": token(payload={**nothing, "sub": None}),
    }


def _kubernetes() -> Cases:
    honest: dict[str, Any] = {"namespace": "commerce", "serviceaccount": {"name": "order-sync"}}
    bounds: list[Any] = [
        {"namespace": form}
        for form in ("other", "Commerce", "commerce\n", "commerce ", None, *NO_TEXT)
    ]
    bounds += [
        {"serviceaccount": form}
        for form in (
            {"name": "other"},
            {"name": ["order-sync"]},
            {"name": None},
            "order-sync",
            None,
            *NO_TEXT,
        )
    ]
    cases = {f"{bound}": cluster(pod(bound=honest | bound)) for bound in bounds}
    cases |= {
        f"bound {form!r}": cluster(pod(bound=form))
        for form in (None, *NO_TEXT, ["commerce"], [honest])
    }
    account = "system:serviceaccount:"
    subjects: tuple[str, ...] = (
        "ops-anna",
        "commerce/order-sync",
        f"{account}commerce/order-sync",
        f"{account}commerce:order-sync:x",
    )
    subjects += (
        f"{account}commerce:order-sync ",
        f"{account}other:order-sync",
        "system:node:commerce:order-sync",
    )
    cases |= {f"sub {subject}": cluster(pod(sub=subject)) for subject in (*subjects, *NO_TEXT)}
    crossing: tuple[tuple[str, str], ...] = (
        ("commerce:order", "sync"),
        ("commerce/order", "sync"),
        ("commerce", "order:sync"),
        ("commerce", "a/b"),
    )
    crossing += (
        ("*", "order-sync"),
        ("commerce", "*"),
        ("", "x"),
        ("commerce", "-x"),
        ("commerce", "x."),
        ("a" * 254, "x"),
    )
    return cases | {
        f"pod {both}"[:60]: cluster(pod(*both))
        for both in (*crossing, ("\u0441ommerce", "x"), ("x\0", "x"))
    }


def too_long() -> Cases:
    """Return the longest token that is short enough, and the next one."""
    pad = (8192 - len(token("ES256"))) * 3 // 4 - 40
    texts = [token("ES256", claims(pad="x" * more)) for more in range(pad, pad + 60)]
    return {
        "longest": max((text for text in texts if len(text) <= 8192), key=len),
        "too long": min((text for text in texts if len(text) > 8192), key=len),
    }


def _encodings() -> Cases:
    good = token("ES256")
    header, payload, signature = good.split(".")
    parts = {
        "1": header,
        "2": f"{header}.{payload}",
        "4": f"{good}.{signature}",
        "5, as encrypted": f"{good}.{signature}.{signature}",
        "JWE": sealed({"alg": "RSA-OAEP", "enc": "A256GCM", "kid": "rsa"}, b"key", lambda _: b"iv")
        + ".YQ.YQ",
        "JSON": json.dumps({"payload": payload, "protected": header, "signature": signature}),
        "detached": f"{header}..{signature}",
        "dots": "..",
        "nothing": "",
    }
    cases = {f"{what} parts": text for what, text in parts.items()}
    cases |= {
        f"without part {at}": ".".join(
            part if at != number else "" for number, part in enumerate(good.split("."))
        )
        for at in range(3)
    }
    for sign in (
        "=",
        "==",
        " ",
        "\n",
        "\r\n",
        "\t",
        "\0",
        "+",
        "/",
        ".",
        ",",
        "\xa0",
        "\ufeff",
        "\u200b",
        "\udcff",
    ):
        for at in (0, 5, len(header), len(header) + 1, len(header) + 9, len(good) - 3, len(good)):
            cases[f"{sign!r} at {at}"] = f"{good[:at]}{sign}{good[at:]}"
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for last in range(1, 16):
        spelled = letters[(letters.index(good[-1]) & 48) + ((letters.index(good[-1]) + last) & 15)]
        cases[f"last bits and {last}"] = good[:-1] + spelled
    usual, text = {"alg": "RS256", "kid": "rsa"}, json.dumps(claims())
    for codec in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        cases[f"claims in {codec}"] = Forge().sign(usual, text.encode(codec))
        cases[f"header in {codec}"] = Forge().sign(json.dumps(usual).encode(codec), claims())
    for content in (
        b"",
        b"{",
        b"[]",
        b"null",
        b'""',
        b"1",
        b"\xff",
        b"\0",
        text.encode() + b"\0",
        text.encode() + b"{}",
    ):
        cases[f"claims {content[-4:]!r} {len(content)}"] = Forge().sign(usual, content)
    for member in ('"sub":"root"', '"iss":"x"', '"\\u0073ub":"root"', '"x":NaN', '"x":"\\ud800"'):
        cases[f"claims with {member[:24]}"] = Forge().sign(
            usual, f"{text[:-1]}, {member}}}".encode()
        )
    for opening, closing in (("[", "]"), ('{"x":', "}")):
        for depth in (500, 900):
            nested = (opening * depth + "1" + closing * depth).encode()
            cases[f"{depth} of {opening}"] = Forge().sign(usual, nested)
    return cases | {
        "too long": too_long()["too long"],
        "huge": "e" * 100_000,
        "swapped": f"{payload}.{header}.{signature}",
    }


def _damaged() -> Cases:
    cases = {}
    chance = random.Random(20261123)  # noqa: S311 — the same sample each time, no secret
    for algorithm in KIDS:
        good = token(algorithm)
        parts = [base64.urlsafe_b64decode(part + "==") for part in good.split(".")]
        for cut in sorted(chance.sample(range(len(good)), 20)):
            cases[f"{algorithm} cut at {cut}"] = good[:cut]
            cases[f"{algorithm} from {cut}"] = good[cut + 1 :]
        for number, part in enumerate(parts):
            for bit in sorted(chance.sample(range(len(part) * 8), 16)):
                flipped = bytearray(part)
                flipped[bit // 8] ^= 1 << bit % 8
                changed = [*parts[:number], bytes(flipped), *parts[number + 1 :]]
                cases[f"{algorithm} bit {bit} of part {number}"] = ".".join(map(b64, changed))
    return cases


FAMILIES: dict[str, Callable[[], Cases]] = {
    "no signature": _none,
    "a public key as a secret": _hmac,
    "confused keys": _confused_keys,
    "broken RSA signatures": _broken_rsa,
    "broken signatures on curves": _broken_curves,
    "kid": _kids,
    "headers": _headers,
    "audience": _audiences,
    "issuer": _issuers,
    "times": _times,
    "subject": _subjects,
    "kubernetes": _kubernetes,
    "encodings": _encodings,
    "damage": _damaged,
    "JWT-SVIDs": forged_svids,
}


def accepted() -> Cases:
    """Return tokens made in the same ways with nothing wrong, some of them just within a limit."""
    now = int(time.time())
    good = {algorithm: token(algorithm) for algorithm in KIDS}
    good |= {
        f"{algorithm} twice the way": Forge(algorithm, SIGNERS[algorithm]).sign(
            {"alg": algorithm, "kid": kid}, claims(aud=[AUDIENCE])
        )
        for algorithm, kid in KIDS.items()
    }
    return {
        **good,
        **honest_svids(),
        "the cluster's": cluster(),
        "exp now": token(payload=claims(iat=now - 600, exp=now)),
        "exp within the leeway": token(payload=claims(iat=now - 600, exp=now - 2)),
        "nbf within the leeway": token(payload=claims(nbf=now + 9)),
        "a whole day": token(payload=claims(iat=now - 60, exp=now - 60 + 86_400)),
        "the longest subject": token(payload=claims(sub="s" * 200)),
        "the longest token": too_long()["longest"],
        "signed by hand": sealed({"alg": "EdDSA", "kid": "ed"}, claims(), ED_KEY.sign),
    }


def outcome(verify: Callable[[Secret], object], text: str) -> str:
    """Return ``accepted``, or the name of what was raised, whatever that is."""
    try:
        verify(Secret(text))
    except Exception as error:  # noqa: BLE001 — any other error is the finding
        return type(error).__name__
    return "accepted"
