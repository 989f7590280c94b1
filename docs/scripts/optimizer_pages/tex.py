r"""Formulas of docstrings, which are in plain Unicode, as TeX.

>>> translate("u = m̂ / (√v̂ + eps)")
'u = \\frac{\\hat{m}}{\\sqrt{\\hat{v}} + \\varepsilon}'

How it reads: `a / (b + c)` is a fraction, of all that stands tightly before it; a tight `a/b` binds
closer than `·`; `√` takes what stands next to it; words that are no name of `FUNCTIONS` are text.
What it does not know raises `Unknown`.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["FUNCTIONS", "GREEK", "Unknown", "translate"]

FUNCTIONS = set("max min sign clip mean diag triu argmax QR RMS rms log lmo Adam base".split())
GREEK = dict(
    zip(
        "αβγδεηθκλμνπρστφψωΔ",
        "alpha beta gamma delta varepsilon eta theta kappa lambda mu nu pi rho sigma tau phi psi "
        "omega Delta".split(),
    )
)
_SYMBOLS = {
    **{letter: rf"\{name} " for letter, name in GREEK.items()},
    "Σ": r"\sum ",
    "∇": r"\nabla ",
    "∞": r"\infty ",
    "…": r"\cdots ",
    "½": r"\frac{1}{2}",
}
_RELATIONS = {"←": r"\leftarrow", "=": "=", "≤": r"\leq", "≥": r"\geq", "<": "<", ">": ">"}
_SIGNS = {"+": "+", "−": "-", "±": r"\pm "}
_OPEN = {"(": ")", "[": "]", "‖": "‖", "|": "|", "⟨": "⟩", "⌈": "⌉", "{": "}"}
_FENCES = {"‖": r"\|", "⟨": r"\langle ", "⟩": r"\rangle ", "⌈": r"\lceil ", "⌉": r"\rceil "}
_FENCES |= {"{": r"\{", "}": r"\}"}
_ACCENTS = {"\u0302": "hat", "\u0304": "bar"}
_RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ᵗᵖᵀ", [*"0123456789+-tp", r"\top "]))
_LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋ₜ", "0123456789+-t"))
_TOKEN = re.compile(
    r"(?P<quote>\"[^\"]*\"|`[^`]*`)|(?P<eps>(?:eps_root|eps)(?![A-Za-z_]))"
    r"|(?P<argument>[a-z]{2,}(?:_[a-z]+)+)|(?P<beta>b[1-9](?![A-Za-z]))"
    r"|(?P<number>\d+(?:\.\d+)?)|(?P<word>[A-Za-z]{2,}(?:[-'’][A-Za-z]+)*)|(?P<other>.)"
)


class Unknown(ValueError):
    """A symbol that has no translation."""


class _Token:
    """A piece of a formula: `kind` is text, atom, function or mark; and whether it stands apart."""

    def __init__(self, kind: str, tex: str, before: bool, after: bool):
        self.kind, self.tex, self.before, self.after = kind, tex, before, after

    def __repr__(self) -> str:
        return f"{self.kind}:{self.tex}"


def translate(text: str) -> str:
    """One formula as TeX, without dollars.

    Raises:
        Unknown: A symbol has no translation.
    """
    return _Reader(_tokens(text)).line()


def _tokens(text: str) -> list[_Token]:
    text = unicodedata.normalize("NFD", text)
    matches = list(_TOKEN.finditer(text))
    tokens: list[_Token] = []
    for match in matches:
        kind, piece = match.lastgroup, match.group()
        before, after = text[: match.start()][-1:], text[match.end() :][:1]
        if piece.isspace():
            continue
        apart = (before.isspace(), after.isspace() or not after)
        if kind == "quote":
            name = piece[1:-1].replace("_", r"\_")
            tokens.append(_Token("text", rf"\mathtt{{{name}}}", *apart))
        elif kind == "argument":
            tokens.append(_Token("atom", rf"\mathtt{{{piece}}}".replace("_", r"\_"), *apart))
        elif kind == "eps":
            tex = r"\varepsilon_{\mathrm{root}}" if piece == "eps_root" else r"\varepsilon "
            tokens.append(_Token("atom", tex, *apart))
        elif kind == "beta":
            tokens.append(_Token("atom", rf"\beta_{piece[1]}", *apart))
        elif kind == "number":
            tokens.append(_Token("atom", piece, *apart))
        elif kind == "word":
            tokens.append(_word(piece, before, text[match.end() :], apart))
        else:
            following = re.match(r" (?:[a-z]{2,})(?![(_|])", text[match.end() :])
            if piece == "a" and following and (not before or before.isspace()):
                tokens.append(_Token("text", "a", *apart))
            else:
                tokens.append(_Token("atom" if piece.isalpha() else "mark", piece, *apart))
    return _joined(tokens)


def _word(piece: str, before: str, rest: str, apart: tuple[bool, bool]) -> _Token:
    """A word: a function, a size of a matrix, a product of two letters, or text."""
    if piece in FUNCTIONS and re.match(r"[(|_√]| ?⟨", rest):
        return _Token("function", piece, *apart)
    if piece in ("max", "min") and before in GREEK:
        return _Token("mark", f"_{piece}", *apart)
    if piece in ("in", "out") and (before in ("/", "·", "(", "[", "√", "_") or rest[:1] in "/·)]"):
        return _Token("atom", rf"\mathrm{{{piece}}}", *apart)
    if rest[:1] == "_" or before == "_":
        italic = len(piece) == 2 and piece not in ("in",)
        return _Token("atom", piece if italic else rf"\mathrm{{{piece}}}", *apart)
    if len(set(piece)) == 1 and piece.isupper():
        return _Token("atom", r"\,".join(piece), *apart)
    return _Token("text", piece, *apart)


def _joined(tokens: list[_Token]) -> list[_Token]:
    """Words that follow one another as one."""
    out: list[_Token] = []
    for token in tokens:
        plain = token.kind == "text" and not token.tex.startswith("\\")
        last = out[-1] if out else None
        if plain and last is not None and last.kind == "text" and not last.tex.startswith("\\"):
            last.tex, last.after = f"{last.tex} {token.tex}", token.after
        else:
            out.append(token)
    return out


class _Reader:
    """Reads tokens by precedence, from relations down to a letter with its accents."""

    def __init__(self, tokens: list[_Token]):
        self.tokens, self.at = tokens, 0

    @property
    def next(self) -> _Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def mark(self, *marks: str) -> bool:
        return self.next is not None and self.next.kind == "mark" and self.next.tex in marks

    def take(self) -> _Token:
        self.at += 1
        return self.tokens[self.at - 1]

    def line(self) -> str:
        tex = self.phrases(())
        if self.next is not None:
            raise Unknown(f"{self.next.tex!r} in {self.tokens}")
        return tex

    def phrases(self, closers: tuple[str, ...]) -> str:
        """Sums, relations, commas and words, up to what closes a group."""
        out: list[str] = []
        while self.next is not None and not self.mark(*closers):
            if self.mark(*_RELATIONS):
                out.append(f" {_RELATIONS[self.take().tex]} ")
            elif self.mark(",", ";", ":"):
                out = ["".join(out).removesuffix(r"\;"), self.take().tex + r"\;"]
            elif self.next.kind == "text" and not self.multiplied():
                out.append(_words(self.take()))
            else:
                out.append(self.sum())
        tex = re.sub(r"(?:\\;)+", r"\\;", "".join(out))
        return tex.strip().removeprefix(r"\;").removesuffix(r"\;").strip()

    def multiplied(self) -> bool:
        """Whether a dot follows the next token, so that a word is a factor."""
        following = self.tokens[self.at + 1 : self.at + 2]
        return bool(following) and following[0].tex in ("·", "⊙")

    def sum(self) -> str:
        out = self.sign() + self.product()
        while self.mark(*_SIGNS):
            out += f" {_SIGNS[self.take().tex]} {self.product()}"
        return out

    def sign(self) -> str:
        return _SIGNS[self.take().tex] if self.mark(*_SIGNS) else ""

    def product(self) -> str:
        """Factors with a dot that stands apart."""
        out = self.fraction(apart=True)
        while self.mark("·", "⊙"):
            sign = r"\odot" if self.take().tex == "⊙" else r"\cdot"
            out += rf" {sign} {self.fraction(apart=True)}"
        return out

    def fraction(self, apart: bool) -> str:
        """`a / b` with the whole product before it, or a tight `a/b`."""
        inner = self.tight if apart else self.beside
        out = inner()
        while self.mark("/") and self.next is not None and self.next.before == apart:
            self.take()
            out = rf"\frac{{{_bare(out)}}}{{{_bare(inner())}}}"
        return out

    def tight(self) -> str:
        """Factors with a dot between them that stands close."""
        out = self.fraction(apart=False)
        while self.mark("·") and self.next is not None and not self.next.before:
            self.take()
            out += rf"\,{self.fraction(apart=False)}"
        return out

    def beside(self) -> str:
        """Factors side by side; words go before what follows them, never after."""
        out = ""
        while self.next is not None:
            if self.next.kind == "text":
                if out:
                    break
                out = _words(self.take())
                return out + self.beside() if self.begins() else out
            if not self.begins():
                break
            gap = r"\," if out and self.next.before else ""
            out += gap + self.scripts(self.atom())
        if not out:
            raise Unknown(f"nothing before {self.next} in {self.tokens}")
        return out

    open: str = ""  # the bar that is open, since both of its ends look alike

    def begins(self) -> bool:
        """Whether a factor begins here."""
        if self.next is None or self.next.kind != "mark":
            return self.next is not None
        return self.next.tex in "√∛∇∞…½" or self.next.tex in _OPEN and self.next.tex != self.open

    def atom(self) -> str:
        token = self.take()
        if token.kind == "function":
            return rf"\operatorname{{{token.tex}}}"
        if token.tex in ("√", "∛"):
            inside = _bare(self.scripts(self.call()))
            return rf"\sqrt{'[3]' if token.tex == '∛' else ''}{{{inside}}}"
        if token.kind == "mark" and token.tex in _OPEN:
            return self.group(token.tex)
        if token.tex in _SYMBOLS:
            return _SYMBOLS[token.tex]
        if token.kind == "atom" and token.tex.isascii():
            return token.tex
        raise Unknown(f"{token.tex!r} in {self.tokens}")

    def call(self) -> str:
        """What a root is taken of: a letter, a group, or a function with its argument."""
        is_function = self.next is not None and self.next.kind == "function"
        return self.atom() + (self.atom() if is_function else "")

    def group(self, opener: str) -> str:
        before, closer = self.open, _OPEN[opener]
        self.open = closer if closer in "‖|" else ""
        inside = self.phrases((closer,))
        if not self.mark(closer):
            raise Unknown(f"{opener!r} is not closed in {self.tokens}")
        self.take()
        self.open = before
        left, right = _FENCES.get(opener, opener), _FENCES.get(closer, closer)
        tall = r"\frac" in inside or r"\sqrt" in inside
        return rf"\left{left}{inside}\right{right}" if tall else f"{left}{inside}{right}"

    def scripts(self, base: str) -> str:
        """Accents, indices, exponents and primes of an atom."""
        below, above = "", ""
        while self.next is not None and self.next.kind in ("mark", "atom"):
            tex = self.next.tex
            if tex in _ACCENTS:
                base = rf"\{_ACCENTS[tex]}{{{base.strip()}}}"
            elif tex in _LOWERED:
                below += _LOWERED[tex]
            elif tex in _RAISED:
                above += _RAISED[tex]
            elif tex in ("′", "'", "*"):
                above += "*" if tex == "*" else r"\prime "
            elif tex in ("_max", "_min"):
                below += rf"\mathrm{{{tex[1:]}}}"
            elif tex == "_":
                self.take()
                below += self.atom()
                continue
            elif tex == "^":
                self.take()
                above += self.exponent()
                continue
            elif tex == "∞" and base.strip() == r"\rho":
                below += r"\infty "
            else:
                break
            self.take()
        below = f"_{{{below.strip()}}}" if below else ""
        return base + below + (f"^{{{above.strip()}}}" if above else "")

    def exponent(self) -> str:
        if self.mark("¼"):
            self.take()
            return "1/4"
        if self.mark("("):
            inside = _bare(self.atom())
            return re.sub(r"\\frac\{([^{}]*)\}\{([^{}]*)\}", r"\1/\2", inside)
        return self.sign() + self.atom()


def _words(token: _Token) -> str:
    words = token.tex if token.tex.startswith("\\") else rf"\text{{{token.tex}}}"
    return rf"\;{words}\;"


def _bare(tex: str) -> str:
    """Without parentheses about the whole."""
    for left, right in (("(", ")"), (r"\left(", r"\right)")):
        if tex.startswith(left) and tex.endswith(right):
            inside, depth = tex[len(left) : -len(right)], 0
            for char in inside:
                depth += (char == "(") - (char == ")")
                if depth < 0:
                    return tex
            return inside.strip()
    return tex.strip()
