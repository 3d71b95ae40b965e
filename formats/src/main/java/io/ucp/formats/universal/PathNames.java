package io.ucp.formats.universal;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.stream.Collectors;
import java.util.zip.CRC32C;

/// Any name as a file name that every file system takes: `A-Z a-z 0-9 . _ -` stay, every other byte
/// of the UTF-8 becomes `%XX`. Names in the manifest are the real ones: nobody decodes these.
final class PathNames {
    private static final int LONGEST = 200;

    private PathNames() {}

    /// One part of a path: never empty, `.` or `..`.
    static String part(String name) {
        StringBuilder out = new StringBuilder();
        byte[] bytes = name.getBytes(StandardCharsets.UTF_8);
        boolean dots = name.chars().allMatch(c -> c == '.');
        for (byte b : bytes) {
            char c = (char) (b & 0xff);
            boolean plain =
                    (c >= 'a' && c <= 'z')
                            || (c >= 'A' && c <= 'Z')
                            || (c >= '0' && c <= '9')
                            || c == '_'
                            || c == '-'
                            || (c == '.' && !dots);
            if (plain) {
                out.append(c);
            } else {
                out.append("%%%02X".formatted((int) c));
            }
        }
        if (out.length() > LONGEST) {
            CRC32C crc = new CRC32C();
            crc.update(bytes);
            out.setLength(LONGEST - 9);
            out.append("~%08x".formatted(crc.getValue()));
        }
        return out.isEmpty() ? "%" : out.toString();
    }

    /// A path with `/` between its parts, part by part.
    static String path(String path) {
        return Arrays.stream(path.split("/", -1))
                .map(PathNames::part)
                .collect(Collectors.joining("/"));
    }

    /// Whether a path from a file stays below the folder that it is relative to.
    static boolean staysInside(String path) {
        return !path.isEmpty()
                && path.indexOf('\0') < 0
                && Arrays.stream(path.split("/", -1))
                        .noneMatch(p -> p.isEmpty() || p.equals(".") || p.equals(".."));
    }
}
