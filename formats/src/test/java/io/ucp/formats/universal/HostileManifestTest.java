package io.ucp.formats.universal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.ParameterFacts;
import io.ucp.io.MalformedFileException;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/// Manifests with a good checksum that say what is not so.
class HostileManifestTest {
    @TempDir Path folder;

    private String manifest = "";

    @BeforeEach
    void writeACheckpoint() throws IOException {
        List<ParameterFacts> parameters =
                List.of(
                        Samples.parameter("a", Shape.of(4, 6), Map.of("w", DType.FLOAT32)),
                        Samples.parameter("b", Shape.of(30), Map.of("w", DType.FLOAT32)));
        Samples.write(
                new UniversalFormat(new Limits(1 << 20, 64, 64, 100)),
                folder,
                parameters,
                List.of(),
                Map.of());
        manifest = Files.readString(folder.resolve(Manifest.FILE));
    }

    private void replace(String found, String by) throws IOException {
        assertThat(manifest).contains(found);
        String changed = manifest.replace(found, by);
        byte[] body =
                changed.substring(0, changed.lastIndexOf("\"checksum\""))
                        .getBytes(StandardCharsets.US_ASCII);
        int checksum = ArrowFraming.checksum(body, 0, body.length);
        Files.writeString(
                folder.resolve(Manifest.FILE),
                new String(body, StandardCharsets.US_ASCII) + ManifestText.lastLine(checksum));
    }

    /// ``found | in its place | what the message says``.
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            textBlock =
                    """
                    "version":1            | "version":2                | version 2 of the universal format; expected version 1, the newest
                    "version":1            | "version":0                | version 0 of the universal format; expected version 1, the oldest
                    "version":1            | "version":"1"              | does not begin with a format, a version and a tag
                    "format":"ucp-universal" | "format":"other"         | does not begin with a format, a version and a tag
                    "iteration":3          | "iteration":3.5            | not JSON: no whole number
                    "iteration":3          | "iteration":99999999999999999999 | not JSON
                    "digest":"crc32c+crc32"| "digest":7                 | digest is 7; expected a string
                    "digest":"crc32c+crc32"| "digest":"x","digest":"y"  | Duplicate field
                    "digest":"crc32c+crc32"| "digest":"md5"             | digest is "md5"; expected crc32c+crc32
                    "tag":"global_step3"   | "tag":"../../elsewhere"    | tag is "../../elsewhere"; expected the name of a folder
                    "tag":"global_step3"   | "tag":""                   | tag is ""; expected the name of a folder
                    "name":"b"             | "name":"a"                 | two parameters are named "a"
                    "name":"b"             | "name":"c"                 | tensor 1 is not "c"
                    "shape":[4,6]          | "shape":[6,4]              | tensor 0 is not "a"
                    "shape":[4,6]          | "shape":[4,-6]             | shape is [4, -6]
                    "shape":[4,6]          | "shape":[4,7]              | size is 96; expected the bytes of float32 [4, 7]
                    "shape":[4,6]          | "shape":[4611686018427387904,4611686018427387904] | expected extents of a tensor
                    "shape":[4,6]          | "shape":[4611686018427387904,6] | expected extents of a tensor
                    "shape":[4,6]          | "shape":"4,6"              | shape is "4,6"; expected an array
                    "shape":[4,6]          | "shape":[4,6],"realShape":[5,6] | realShape is [5, 6]; expected no more than [4, 6]
                    "shape":[4,6]          | "shape":[4,6],"realShape":[4] | realShape is [4]
                    "dtype":"float32","file" | "dtype":"int32","file"   | in states/w-00001.arrow; expected one of the files of that state and dtype
                    "dtype":"float32"      | "dtype":"float31"          | expected the name of a torch dtype
                    "dtype":"float32"      | "dtype":"int32"            | a column that does not hold int32
                    "file":"states/w-00001.arrow" | "file":"states/x.arrow" | expected one of the files of that state and dtype
                    states/w-00001.arrow   | ../w-00001.arrow           | expected a path inside the checkpoint's folder
                    states/w-00001.arrow   | /etc/passwd                | expected a path inside the checkpoint's folder
                    "batch":2              | "batch":3                  | expected batch 2 first
                    "batch":2              | "batch":-1                 | batch is -1
                    "batch":2              | "batch":2147483648         | batch is 2147483648
                    "batch":2,"batches":2  | "batch":2,"batches":2147483647 | 2147483647 of them; expected batch 2 first, of 4 in all
                    "batch":0,"batches":2  | "batch":0,"batches":0      | batches is 0
                    "batch":0,"batches":2  | "batch":0,"batches":1      | expected batch 1 first
                    "batches":4            | "batches":5                | batches of no tensor from 4 on
                    "batches":4            | "batches":2000000000       | the 2000000000 record batches that the manifest says
                    "compression":"none"   | "compression":"lz4"        | expected one that this ucp reads: none, zstd or zstd+shuffle
                    "compression":"none"   | "compression":"zstd+shuffle" | a column that does not hold float32
                    "compression":"none"   | "compression":"zstd"       | no zstd buffers
                    "offset":              | "offset":1                 | expected
                    "size":96,             | "size":96.0,               | not JSON
                    "group":0              | "group":-2                 | group is -2
                    "kind":"unknown"       | "kind":"sideways"          | expected one of unknown, replicated
                    "trainable":true       | "trainable":"yes"          | expected true or false
                    "carried":[]           | "carried":[{"path":"../x","role":"side","at":{},"archive":"carried/x.zip"}] | expected a path inside the checkpoint's folder
                    "carried":[]           | "carried":[{"path":"x","role":"side","at":{},"archive":"../x.zip"}] | expected a path inside the checkpoint's folder
                    "carried":[]           | "carried":[{"path":"x","role":"side","at":{"tp":-1},"archive":"x.zip"}] | at.tp is -1
                    "carried":[]           | "carried":{}               | carried is an object; expected an array
                    "hints":{              | "hints":[],"more":{        | hints is an array; expected an object
                    """)
    void saysWhatIsWrong(String found, String by, String message) throws IOException {
        replace(found, by);
        assertThatThrownBy(() -> Samples.index(folder))
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining(message);
    }

    @Test
    void namesTheStateFileOfTwo() throws IOException {
        String line =
                manifest.lines().filter(l -> l.startsWith("{\"path\"")).findFirst().orElseThrow();
        String entry = line.substring(0, line.lastIndexOf('}') + 1);
        replace(entry, entry + "," + entry);
        assertThatThrownBy(() -> Samples.index(folder))
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("files[1].path is \"states/w-00001.arrow\" again");
    }

    /// Found by fuzzing: the JSON library took this for UTF-32 and gave no documented error.
    @Test
    void takesNoOtherEncodingThanUtf8() throws IOException {
        byte[] text = {'{', 0, 0, 0, 'f', 'o', 'r', 'm', 'a', 't'};
        java.nio.file.Files.write(folder.resolve("manifest.json"), text);
        assertThat(new UniversalFormat().find(folder)).isNotNull();
    }

    @Test
    void takesMembersThatItDoesNotKnow() throws IOException {
        replace("\"digest\":", "\"comment\":{\"by\":\"someone\"},\n\"digest\":");
        assertThat(Samples.index(folder).wholes()).hasSize(2);
    }
}
