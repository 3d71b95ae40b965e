package io.ucp.formats.torch.pickle;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Optional;

/// UTF-8 that also carries lone surrogates, as Python's `surrogatepass` does.
final class SurrogateUtf8 {
    private SurrogateUtf8() {}

    static byte[] encode(String text) {
        if (!hasSurrogates(text)) {
            return text.getBytes(StandardCharsets.UTF_8);
        }
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        text.codePoints()
                .forEach(
                        c -> {
                            if (isSurrogate(c)) {
                                out.write(0xe0 | (c >> 12));
                                out.write(0x80 | ((c >> 6) & 0x3f));
                                out.write(0x80 | (c & 0x3f));
                            } else {
                                out.writeBytes(
                                        Character.toString(c).getBytes(StandardCharsets.UTF_8));
                            }
                        });
        return out.toByteArray();
    }

    /// Whether any char is one, of a pair too.
    private static boolean hasSurrogates(String text) {
        for (int i = 0; i < text.length(); i++) {
            if (Character.isSurrogate(text.charAt(i))) {
                return true;
            }
        }
        return false;
    }

    /// Empty where the bytes are not UTF-8.
    static Optional<String> decode(byte[] bytes, int from, int size) {
        String fast = new String(bytes, from, size, StandardCharsets.UTF_8);
        // What is no UTF-8 decodes to the replacement character, which may also be meant.
        return fast.indexOf('\ufffd') < 0
                ? Optional.of(fast)
                : decodeSlowly(Arrays.copyOfRange(bytes, from, from + size));
    }

    private static Optional<String> decodeSlowly(byte[] raw) {
        StringBuilder text = new StringBuilder(raw.length);
        int start = 0;
        for (int i = 0; i + 2 < raw.length; i++) {
            boolean surrogate =
                    (raw[i] & 0xff) == 0xed
                            && (raw[i + 1] & 0xe0) == 0xa0
                            && (raw[i + 2] & 0xc0) == 0x80;
            if (surrogate) {
                text.append(new String(raw, start, i - start, StandardCharsets.UTF_8));
                text.append((char) (0xd000 | ((raw[i + 1] & 0x3f) << 6) | (raw[i + 2] & 0x3f)));
                i += 2;
                start = i + 1;
            }
        }
        text.append(new String(raw, start, raw.length - start, StandardCharsets.UTF_8));
        String decoded = text.toString();
        // What was replaced on the way in does not come out as it was.
        return Arrays.equals(encode(decoded), raw) ? Optional.of(decoded) : Optional.empty();
    }

    private static boolean isSurrogate(int codePoint) {
        return codePoint >= Character.MIN_SURROGATE && codePoint <= Character.MAX_SURROGATE;
    }
}
