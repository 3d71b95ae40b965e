package io.ucp.parity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.io.MalformedFileException;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/// A manifest that is missing, damaged or made to mislead.
final class DamagedManifestTest {
    @TempDir private Path folder;

    private ProtectedSample sample;
    private Path manifest;

    @BeforeEach
    void protect() throws IOException {
        sample = ProtectedSample.of(folder, "llama-zero3-dp4", "files", 4, 1);
        manifest = sample.parity.resolve("manifest.json");
    }

    private void keepOnlyTheFirst() throws IOException {
        Files.delete(sample.parity.resolve("spare-0/manifest.json"));
    }

    @Test
    void anyCopyServesAndTheOthersAreMadeAnew() throws IOException {
        Files.delete(manifest);
        assertThat(sample.scrub().damages())
                .containsExactly(
                        new Health.FileDamage(manifest, true, false, "missing", List.of()));
        assertThat(sample.repair()).containsExactly(manifest);
        Files.write(manifest, Arrays.copyOf(Files.readAllBytes(manifest), 300));
        assertThat(sample.scrub().damages())
                .singleElement()
                .extracting(Health.FileDamage::what)
                .asString()
                .startsWith("another manifest than ");
        assertThat(sample.repair()).containsExactly(manifest);
        assertThat(sample.now()).isEqualTo(sample.before);
    }

    @Test
    void withoutAnyNothingIsDone() throws IOException {
        keepOnlyTheFirst();
        Files.delete(manifest);
        assertThatThrownBy(sample::open)
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("no manifest.json");
        assertThatThrownBy(() -> ProtectedCheckpoint.open(sample.checkpoint, folder.resolve("x")))
                .isInstanceOf(NoSuchFileException.class);
    }

    @Test
    void everyFlippedBitAndEveryTruncationIsFound() throws IOException {
        keepOnlyTheFirst();
        byte[] whole = Files.readAllBytes(manifest);
        Random random = new Random(5);
        for (int round = 0; round < 200; round++) {
            byte[] bytes = whole.clone();
            bytes[random.nextInt(bytes.length)] ^= (byte) (1 << random.nextInt(8));
            Files.write(manifest, bytes);
            assertThatThrownBy(sample::open).isInstanceOf(MalformedFileException.class);
            Files.write(manifest, Arrays.copyOf(whole, random.nextInt(whole.length)));
            assertThatThrownBy(sample::open).isInstanceOf(MalformedFileException.class);
        }
        Files.write(manifest, new byte[0]);
        assertThatThrownBy(sample::open)
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("it does not end with its digest");
    }

    /// With a digest that fits: what a liar would write.
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "\"global_step3/one.log\" | \"../one.log\" | the path '../one.log'",
                "\"global_step3/one.log\" | \"/etc/passwd\" | the path '/etc/passwd'",
                "\"global_step3/one.log\" | \"a/../../b\" | the path 'a/../../b'",
                "\"global_step3/one.log\" | \"a\\u0000b\" | stays inside",
                "\"global_step3/one.log\" | \"a\\\\b\" | stays inside",
                "\"global_step3/one.log\" | \"\" | stays inside",
                "\"global_step3/one.log\" | \"global_step3/empty.log\" | twice",
                "\"spare-0/set-0.0.parity\" | \"../../set\" | the path '../../set'",
                "\"latest\" | \"../latest\" | the path '../latest'",
                "\"folder\" : \"global_step3\" | \"folder\" : \"..\" | the path '..'",
                "\"data\" : 4 | \"data\" : 0 | data 0",
                "\"data\" : 4 | \"data\" : 1 | a set of 4 members",
                "\"data\" : 4 | \"data\" : 300 | data 300",
                "\"parity\" : 1 | \"parity\" : 2 | a set with 1 parity files",
                "\"block_size\" : 4096 | \"block_size\" : 64 | digests",
                "\"block_size\" : 4096 | \"block_size\" : 4095 | block_size 4095",
                "\"block_size\" : 4096 | \"block_size\" : 0 | block_size 0",
                "\"block_size\" : 4096 | \"block_size\" : 1073741824 | block_size",
                "\"size\" : 12289 | \"size\" : 9000000000000000000 | with 4 digests",
                "\"size\" : 12289 | \"size\" : -1 | size -1",
                "\"size\" : 12289 | \"size\" : 12288.5 | no whole number 'size'",
                "\"size\" : 12289 | \"size\" : 12290 | have the digest",
                "\"version\" : 1 | \"version\" : 2 | version 2",
                "\"kind\" : \"ucp-parity\" | \"kind\" : \"x\" | 'x'",
                "cauchy-gf256 | vandermonde | code 'vandermonde",
                "\"blocks\" : \" | \"blocks\" : \"! | no digests",
                "\"sets\" : [ { | \"sets\" : [ [ { | no JSON",
                "\"name\" : \"part 0\" | \"name\" : 7 | no text 'name'",
            })
    void liesAreRefused(String from, String to, String finding) throws IOException {
        keepOnlyTheFirst();
        String text = Files.readString(manifest);
        assertThat(text).contains(from);
        int at = text.indexOf(from);
        forge(text.substring(0, at) + to + text.substring(at + from.length()));
        assertThatThrownBy(sample::open)
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining(finding);
    }

    @Test
    void deepNestingIsRefused() throws IOException {
        keepOnlyTheFirst();
        forge("{\"sets\" : " + "[".repeat(100_000) + "\n");
        assertThatThrownBy(sample::open).isInstanceOf(MalformedFileException.class);
    }

    private void forge(String text) throws IOException {
        int end = text.lastIndexOf(ManifestWriter.DIGEST);
        String body = end < 0 ? text : text.substring(0, end);
        String digest = ManifestWriter.digest(body.getBytes(StandardCharsets.UTF_8));
        Files.writeString(manifest, body + ManifestWriter.DIGEST + digest + ManifestWriter.END);
    }
}
