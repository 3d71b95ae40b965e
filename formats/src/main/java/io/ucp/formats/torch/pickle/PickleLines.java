package io.ucp.formats.torch.pickle;

import io.ucp.io.MalformedFileException;

import java.io.ByteArrayOutputStream;
import java.math.BigInteger;
import java.util.regex.Pattern;

/// The arguments that protocol 0 writes as lines of text.
final class PickleLines {
    /// Python's own limit on the digits of a decimal integer.
    private static final int MOST_DIGITS = 4300;

    private static final Pattern DECIMAL = Pattern.compile("[+-]?[0-9]{1," + MOST_DIGITS + "}");
    private static final Pattern REAL =
            Pattern.compile(
                    "[+-]?([0-9]{1,400}(\\.[0-9]{0,400})?|\\.[0-9]{1,400})([eE][+-]?[0-9]{1,9})?");

    private PickleLines() {}

    /// `INT`: `00` and `01` are booleans.
    static PickleValue integer(PickleBytes in, String line) throws MalformedFileException {
        return switch (line.strip()) {
            case "00" -> new PyBool(false);
            case "01" -> new PyBool(true);
            case String digits -> decimal(in, digits);
        };
    }

    /// `LONG`: decimal digits and an `L`.
    static PyInt longInteger(PickleBytes in, String line) throws MalformedFileException {
        String digits = line.strip();
        return decimal(
                in, digits.endsWith("L") ? digits.substring(0, digits.length() - 1) : digits);
    }

    static int memoIndex(PickleBytes in, String line) throws MalformedFileException {
        PyInt index = decimal(in, line.strip());
        if (index.value().signum() < 0 || index.value().bitLength() >= Integer.SIZE) {
            throw in.malformed("memo entry " + index, "a number from 0 to 2^31 - 1", "");
        }
        return index.value().intValueExact();
    }

    static PyFloat real(PickleBytes in, String line) throws MalformedFileException {
        String text = line.strip();
        return switch (text) {
            case "nan" -> new PyFloat(Double.NaN);
            case "inf" -> new PyFloat(Double.POSITIVE_INFINITY);
            case "-inf" -> new PyFloat(Double.NEGATIVE_INFINITY);
            case String digits when REAL.matcher(digits).matches() ->
                    new PyFloat(Double.parseDouble(digits));
            case String other ->
                    throw in.malformed(
                            "the float '%s'".formatted(shortened(other)), "a decimal number", "");
        };
    }

    private static PyInt decimal(PickleBytes in, String digits) throws MalformedFileException {
        if (!DECIMAL.matcher(digits).matches()) {
            throw in.malformed(
                    "the integer '%s'".formatted(shortened(digits)),
                    "at most %d decimal digits".formatted(MOST_DIGITS),
                    "");
        }
        return PyInt.of(new BigInteger(digits));
    }

    /// `UNICODE`: raw-unicode-escape, so only `\\u` and `\\U` are escapes, and only after an odd
    /// number of backslashes.
    static PyText unicode(PickleBytes in, String line) throws MalformedFileException {
        StringBuilder text = new StringBuilder(line.length());
        int backslashes = 0;
        for (int i = 0; i < line.length(); i++) {
            char c = line.charAt(i);
            backslashes = c == '\\' ? backslashes + 1 : 0;
            if (backslashes % 2 == 1
                    && i + 1 < line.length()
                    && "uU".indexOf(line.charAt(i + 1)) >= 0) {
                int digits = line.charAt(i + 1) == 'u' ? 4 : 8;
                text.appendCodePoint(hex(in, line, i + 2, digits));
                i += 1 + digits;
                backslashes = 0;
            } else {
                text.append(c);
            }
        }
        return PyText.of(text.toString());
    }

    /// `STRING`: a quoted Python 2 `str` with its escapes.
    static byte[] quoted(PickleBytes in, String line) throws MalformedFileException {
        String text = line.strip();
        boolean quoted =
                text.length() >= 2
                        && (text.charAt(0) == '\'' || text.charAt(0) == '"')
                        && text.charAt(text.length() - 1) == text.charAt(0);
        if (!quoted) {
            throw in.malformed("an unquoted string", "quotes around it", "");
        }
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(text.length());
        int end = text.length() - 1;
        for (int i = 1; i < end; i++) {
            char c = text.charAt(i);
            if (c != '\\') {
                bytes.writeBytes(SurrogateUtf8.encode(String.valueOf(c)));
            } else if (++i == end) {
                throw in.malformed("a backslash at the end of a string", "an escape", "");
            } else {
                i = escape(in, text, i, bytes);
            }
        }
        return bytes.toByteArray();
    }

    /// Writes what the escape at `i` stands for and returns its last position.
    private static int escape(PickleBytes in, String text, int i, ByteArrayOutputStream bytes)
            throws MalformedFileException {
        char c = text.charAt(i);
        int simple = "abfnrtv\\'\"".indexOf(c);
        if (simple >= 0) {
            bytes.write("\u0007\b\f\n\r\t\u000b\\'\"".charAt(simple));
            return i;
        }
        if (c == 'x') {
            bytes.write(hex(in, text, i + 1, 2));
            return i + 2;
        }
        if (c >= '0' && c <= '7') {
            int end = i;
            int value = 0;
            while (end < i + 3 && text.charAt(end) >= '0' && text.charAt(end) <= '7') {
                value = value * 8 + text.charAt(end++) - '0';
            }
            bytes.write(value);
            return end - 1;
        }
        bytes.write('\\');
        bytes.writeBytes(SurrogateUtf8.encode(String.valueOf(c)));
        return i;
    }

    private static int hex(PickleBytes in, String text, int from, int digits)
            throws MalformedFileException {
        int value = 0;
        for (int i = from; i < from + digits; i++) {
            int digit = i < text.length() ? Character.digit(text.charAt(i), 16) : -1;
            if (digit < 0) {
                throw in.malformed("an escape", "%d hexadecimal digits".formatted(digits), "");
            }
            value = (value << 4) | digit;
        }
        if (!Character.isValidCodePoint(value)) {
            throw in.malformed("the code point 0x%x".formatted(value), "at most 0x10ffff", "");
        }
        return value;
    }

    private static String shortened(String text) {
        return text.length() <= 40 ? text : text.substring(0, 40) + "..";
    }
}
