package io.ucp.formats.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.io.MalformedFileException;
import io.ucp.io.PlainFile;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/// Headers that break a rule: one error each, with the file and the byte.
class MalformedHeaderTest {
    @TempDir Path folder;

    private void refused(RawFile file, long at, String message) throws IOException {
        refused(file.write(folder.resolve("x.safetensors")), at, message);
    }

    private static void refused(Path path, long at, String message) {
        assertThatThrownBy(() -> Header.read(PlainFile.of(path)))
                .isInstanceOfSatisfying(
                        MalformedFileException.class,
                        e -> {
                            assertThat(e.getMessage()).contains(message);
                            assertThat(e.file()).isEqualTo(path);
                            assertThat(e.offset()).as(e.getMessage()).isEqualTo(at);
                        });
    }

    private static String with(String... members) {
        return "{" + String.join(",", members) + "}";
    }

    private static String tensor(String dtype, String shape, String offsets) {
        return "{\"a\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":%s}}"
                .formatted(dtype, shape, offsets);
    }

    // ---- the size of the header ----

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 7})
    void fileWithoutRoomForTheSize(int size) throws IOException {
        Path path = Files.write(folder.resolve("x.safetensors"), new byte[size]);
        refused(path, 0, "a file of %d bytes; expected 8 bytes".formatted(size));
    }

    @Test
    void headerBeyondTheEndOfTheFile() throws IOException {
        refused(
                RawFile.of("{}", 0).stating(3),
                0,
                "a header of 3 bytes in a file of 10; expected it to end inside");
    }

    @ParameterizedTest
    @CsvSource({"100000001, 100000001", "-1, 18446744073709551615"})
    void headerLargerThanAny(long size, String said) throws IOException {
        refused(RawFile.of("{}", 0).stating(size), 0, "a header of " + said + " bytes");
    }

    @Test
    void headerShorterThanItsObject() throws IOException {
        refused(RawFile.of("{\"a\":1}", 0).stating(3), 8 + 3, "not JSON");
    }

    @Test
    void headerOfNoBytes() throws IOException {
        refused(RawFile.of("", 0), 8, "an empty header");
    }

    // ---- its text ----

    @ParameterizedTest
    @ValueSource(strings = {" {}", "[]", "x"})
    void headerThatDoesNotBeginWithAnObject(String text) throws IOException {
        refused(RawFile.of(text, 0), 8, "a header that begins with byte");
    }

    @Test
    void headerThatIsNotUtf8() throws IOException {
        byte[] text = "{\"\u00e9\":1}".getBytes(StandardCharsets.ISO_8859_1);
        refused(new RawFile(text, text.length, new byte[0]), 8, "no UTF-8");
    }

    @Test
    void moreBehindTheObject() throws IOException {
        refused(RawFile.of("{} {}", 0), 8 + 3, "more behind the header's object");
    }

    @Test
    void spacesBehindTheObjectArePadding() throws IOException {
        Header header =
                Header.read(
                        PlainFile.of(
                                RawFile.of("{}      ", 0).write(folder.resolve("x.safetensors"))));
        assertThat(header.tensors()).isEmpty();
    }

    @Test
    void tensorTwice() throws IOException {
        String first = RawFile.u8("a", 0, 2);
        refused(
                RawFile.of(with(first, RawFile.u8("a", 2, 4)), 4),
                8 + 1 + first.length() + 1,
                "the tensor 'a' a second time");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "{\"__metadata__\":[]} | 9 | __metadata__ that is no object",
                "{\"__metadata__\":{\"a\":1}} | 25 | 'a' of __metadata__ is no text",
                "{\"__metadata__\":{\"a\":\"\",\"a\":\"\"}} | 32 | 'a' of __metadata__ a second"
                        + " time",
                "{\"__metadata__\":{},\"__metadata__\":{}} | 27 | '__metadata__' a second time",
                "{\"a\":1} | 9 | 'a' is no object",
                "{\"a\":{\"dtype\":\"U8\",\"shape\":[0]}} | 9 | 'a' has no data_offsets",
                "{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,0]}} | 9 | 'a' has no shape",
                "{\"a\":{\"shape\":[0],\"data_offsets\":[0,0]}} | 9 | 'a' has no dtype",
                "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}} | 27 | 'dtype' of 'a' a second time",
                "{\"a\":{\"device\":\"cpu\"}} | 14 | 'device' of 'a'",
                "{\"a\":{\"shape\":3}} | 14 | shape of 'a' is no list",
                "{\"a\":{\"data_offsets\":[0]}} | 14 | 1 data_offsets of 'a'",
                "{\"a\":{\"data_offsets\":[0,-1]}} | 32 | -1 in data_offsets of 'a'",
                "{\"a\":{\"shape\":[1.0]}} | 23 | 1.0 in shape of 'a'",
                "{\"a\":{\"shape\":[9223372036854775808]}} | 23 | 9223372036854775808 in shape of"
                        + " 'a'",
            })
    void membersThatAreNotWhatTheyShouldBe(String text, long at, String message)
            throws IOException {
        refused(RawFile.of(text, 0), at, message);
    }

    // ---- dtypes and shapes ----

    @ParameterizedTest
    @ValueSource(strings = {"F8", "bf16", "", "F6_E2M3", "QINT8"})
    void unknownDtype(String dtype) throws IOException {
        refused(
                RawFile.of(tensor(dtype, "[1]", "[0,1]"), 1),
                9,
                "'a' has the dtype '%s'; expected one of BOOL, F4, U8".formatted(dtype));
    }

    @ParameterizedTest
    @ValueSource(strings = {"[4294967296,4294967296]", "[4611686018427387904,4]"})
    void shapeWhoseSizeWrapsAround(String shape) throws IOException {
        refused(RawFile.of(tensor("F32", shape, "[0,0]"), 0), 9, "does not fit in 64 bits");
    }

    @ParameterizedTest
    @CsvSource({"'[0,8]'", "'[0,0]'", "'[4,0]'", "'[12,0]'"})
    void offsetsThatAreNotAsFarApartAsTheShapeIsLarge(String offsets) throws IOException {
        refused(RawFile.of(tensor("F32", "[3]", offsets), 12), 9, "12 bytes, for F32 of shape [3]");
    }

    @ParameterizedTest
    @ValueSource(strings = {"[]", "[3]"})
    void halvesOfBytesThatMakeNoWholeOnes(String shape) throws IOException {
        refused(RawFile.of(tensor("F4", shape, "[0,1]"), 1), 9, "half a byte more");
    }

    // ---- tiling ----

    @Test
    void holeBeforeTheFirstTensor() throws IOException {
        refused(
                RawFile.of(with(RawFile.u8("a", 2, 4)), 4),
                9,
                "2 bytes of data before 'a' that no tensor has");
    }

    @Test
    void holeBetweenTensors() throws IOException {
        String first = RawFile.u8("a", 0, 2);
        refused(
                RawFile.of(with(first, RawFile.u8("b", 3, 4)), 4),
                8 + 1 + first.length() + 1,
                "1 bytes of data before 'b' that no tensor has; expected it to begin at 2");
    }

    @Test
    void tensorsThatOverlap() throws IOException {
        String first = RawFile.u8("a", 0, 3);
        refused(
                RawFile.of(with(first, RawFile.u8("b", 2, 4)), 4),
                8 + 1 + first.length() + 1,
                "'b' overlaps 'a' by 1 bytes");
    }

    @Test
    void twoTensorsOnTheSameBytes() throws IOException {
        String first = RawFile.u8("a", 0, 4);
        refused(
                RawFile.of(with(first, RawFile.u8("b", 0, 4)), 4),
                8 + 1 + first.length() + 1,
                "'b' overlaps 'a' by 4 bytes");
    }

    @Test
    void tensorBeyondTheEndOfTheFile() throws IOException {
        String header = with(RawFile.u8("a", 0, 4));
        int data = 8 + header.length();
        refused(
                RawFile.of(header, 3),
                9,
                "'a' ends at byte %d of a file of %d".formatted(data + 4, data + 3));
    }

    @Test
    void dataBehindTheLastTensor() throws IOException {
        String header = with(RawFile.u8("a", 0, 4));
        refused(
                RawFile.of(header, 6),
                8 + header.length() + 4,
                "2 bytes behind the last tensor; expected the end of the file");
    }

    @Test
    void offsetsThatWrapAround() throws IOException {
        refused(
                RawFile.of(tensor("U8", "[1]", "[9223372036854775806,9223372036854775807]"), 1),
                9,
                "'a' ends at 9223372036854775807 of the data; expected it inside the file");
    }

    @Test
    void tensorsInAnyOrderAndEmptyOnesTile() throws IOException {
        Header header =
                Header.read(
                        PlainFile.of(
                                RawFile.of(
                                                with(
                                                        RawFile.u8("b", 2, 4),
                                                        RawFile.u8("none", 2, 2),
                                                        RawFile.u8("a", 0, 2)),
                                                4)
                                        .write(folder.resolve("x.safetensors"))));
        assertThat(header.tensors().keySet()).containsExactly("b", "none", "a");
    }
}
