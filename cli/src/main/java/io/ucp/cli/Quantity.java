package io.ucp.cli;

import java.time.Duration;
import java.util.Locale;

/// Numbers with their units, as people read them.
final class Quantity {
    private static final String[] UNITS = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};

    private Quantity() {}

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
        String digits = rest >= 99.95 || unit == 0 ? "%.0f" : rest >= 9.995 ? "%.1f" : "%.2f";
        return digits.formatted(rest) + " " + UNITS[unit] + suffix;
    }

    /// `1,234,567`.
    static String count(long number) {
        return String.format(Locale.ROOT, "%,d", number);
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
        return exact < 10 ? "%.2f s".formatted(exact) : "%.0f s".formatted(exact);
    }
}
