package io.ucp.formats.hub;

import java.util.Comparator;

/// Texts as Python sorts them and as its `json` writes them.
public final class PythonOrder {
    /// By code points; the bytes of their UTF-8 sort the same.
    public static final Comparator<String> BY_CODE_POINT =
            (a, b) -> {
                int i = 0;
                while (i < a.length() && i < b.length() && a.charAt(i) == b.charAt(i)) {
                    i++;
                }
                if (i == a.length() || i == b.length()) {
                    return Integer.compare(a.length(), b.length());
                }
                return Integer.compare(rank(a.charAt(i)), rank(b.charAt(i)));
            };

    private PythonOrder() {}

    /// Halves of pairs stand for code points above all others.
    private static int rank(char c) {
        return Character.isSurrogate(c) ? c + Character.MAX_VALUE : c;
    }

    /// As a JSON text in ASCII.
    static void quote(String value, StringBuilder into) {
        into.append('"');
        for (int i = 0; i < value.length(); i++) {
            char c = value.charAt(i);
            switch (c) {
                case '"' -> into.append("\\\"");
                case '\\' -> into.append("\\\\");
                case '\n' -> into.append("\\n");
                case '\r' -> into.append("\\r");
                case '\t' -> into.append("\\t");
                case '\b' -> into.append("\\b");
                case '\f' -> into.append("\\f");
                default -> {
                    if (c < 0x20 || c > 0x7e) {
                        into.append("\\u%04x".formatted((int) c));
                    } else {
                        into.append(c);
                    }
                }
            }
        }
        into.append('"');
    }
}
