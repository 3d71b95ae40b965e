package io.ucp.cli;

import java.math.BigInteger;
import java.time.Duration;
import java.util.Locale;
import java.util.OptionalLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Numbers with their units, as people read them.
final class Quantity {
    private static final String[] UNITS = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};

    private static final Pattern SIZE =
            Pattern.compile("(\\d{1,18})(?:([KMGT])(i?))?B?", Pattern.CASE_INSENSITIVE);

    private Quantity() {}

    /// Bytes, from `1000000`, `200MB`, `80G` (units of 1000) or `80Gi` (of 1024); empty where it is
    /// none of these, is none, or does not fit in a long.
    static OptionalLong size(String text) {
        Matcher matcher = SIZE.matcher(text);
        if (!matcher.matches()) {
            return OptionalLong.empty();
        }
        String unit = matcher.group(2) == null ? "" : matcher.group(2).toUpperCase(Locale.ROOT);
        long step = matcher.group(3) == null || matcher.group(3).isEmpty() ? 1000 : 1024;
        int power = unit.isEmpty() ? 0 : 1 + "KMGT".indexOf(unit);
        BigInteger size =
                new BigInteger(matcher.group(1)).multiply(BigInteger.valueOf(step).pow(power));
        return size.signum() > 0 && size.bitLength() < Long.SIZE
                ? OptionalLong.of(size.longValue())
                : OptionalLong.empty();
    }

    /// Bytes a second, from `500MB/s` or any other [#size], with or without `/s`.
    static OptionalLong rate(String text) {
        return size(text.endsWith("/s") ? text.substring(0, text.length() - 2) : text);
    }

    /// `1.34 GB`: three digits, units of 1000.
    static String bytes(long size) {
        return size < 1000 ? size + " B" : scaled((double) size, "");
    }

    /// `812 MB/s`; empty where the time is too short to say.
    static String rate(long size, Duration took) {
        double seconds = took.toNanos() / 1e9;
        return seconds < 0.001 ? "" : scaled(size / seconds, "/s");
    }

    private static String scaled(double size, String suffix) {
        double rest = size;
        int unit = 0;
        while (rest >= 999.5 && unit < UNITS.length - 1) {
            rest /= 1000;
            unit++;
        }
        int places = rest >= 99.95 || unit == 0 ? 0 : rest >= 9.995 ? 1 : 2;
        return decimal(rest, places) + " " + UNITS[unit] + suffix;
    }

    /// As `%.2f`, which like `%d` loads what the JDK knows of the world's numbers; that and
    /// `BigDecimal` take ten milliseconds to begin with.
    private static String decimal(double value, int places) {
        long unit = places == 0 ? 1 : places == 1 ? 10 : 100;
        long parts = Math.round(value * unit);
        String whole = Long.toString(parts / unit);
        return places == 0 ? whole : whole + "." + Long.toString(unit + parts % unit).substring(1);
    }

    /// `1,234,567`; the number is not negative.
    static String count(long number) {
        StringBuilder digits = new StringBuilder(Long.toString(number));
        for (int at = digits.length() - 3; at > 0; at -= 3) {
            digits.insert(at, ',');
        }
        return digits.toString();
    }

    /// `1 file`, `2,000 files`; the plural ends in `s`.
    static String count(long number, String thing) {
        return count(number) + " " + (number == 1 ? thing : thing + "s");
    }

    /// `0.12 s`, `34 s`, `2:05 min`, `1:02:05 h`.
    static String duration(Duration duration) {
        long seconds = duration.toSeconds();
        if (seconds >= 3600) {
            return "%d:%02d:%02d h".formatted(seconds / 3600, seconds / 60 % 60, seconds % 60);
        }
        if (seconds >= 60) {
            return "%d:%02d min".formatted(seconds / 60, seconds % 60);
        }
        double exact = duration.toNanos() / 1e9;
        return decimal(exact, exact < 10 ? 2 : 0) + " s";
    }
}
