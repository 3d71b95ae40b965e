package io.ucp.io;

/// A name out of a file that is to be one of a file beside it.
public final class PlainName {
    private PlainName() {}

    /// Whether it leads nowhere else: no path, no `.` or `..`, nothing that a terminal obeys.
    public static boolean is(String name) {
        return !name.isEmpty()
                && !name.equals(".")
                && !name.equals("..")
                && name.chars().noneMatch(c -> c == '/' || c == '\\' || Character.isISOControl(c));
    }
}
