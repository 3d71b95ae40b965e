package io.ucp.parity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.convert.OpenedSource;
import io.ucp.convert.OutputExistsException;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.RefusedException;
import io.ucp.io.ByteReader;
import io.ucp.io.ByteSource;
import io.ucp.io.overlay.Overlay;
import io.ucp.layout.ImpossibleLayoutException;
import io.ucp.parity.Health.ByteSpan;
import io.ucp.parity.Health.FileDamage;

import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.stream.Stream;

/// What may be lost comes back bit for bit, and is read as if it were there; what may not is
/// refused.
final class ParityTest {
    private static final String ZERO3 = "llama-zero3-dp4";
    private static final String MEGATRON = "llama-tp2-pp2-dp2";

    @TempDir private Path folder;

    @ParameterizedTest
    @CsvSource({"1, 1", "2, 1", "4, 2", "3, 3", "20, 4"})
    void anyFilesUpToTheParityComeBackBitForBit(int data, int parity) throws IOException {
        ProtectedSample sample = ProtectedSample.of(folder, ZERO3, "files", data, parity);
        Random random = new Random(data * 7 + parity);
        List<Path> all = new ArrayList<>(sample.files());
        all.addAll(sample.parityFiles());
        for (int round = 0; round < 6; round++) {
            List<Path> lost = ProtectedSample.some(all, parity, random);
            for (Path path : lost) {
                Files.delete(path);
            }
            assertThat(sample.repair()).containsExactlyInAnyOrderElementsOf(lost);
            assertThat(sample.now()).isEqualTo(sample.before);
        }
    }

    @ParameterizedTest
    @CsvSource({"4, 2", "3, 3"})
    void lostFilesReadAsBeforeAndAreNotWritten(int data, int parity) throws IOException {
        ProtectedSample sample = ProtectedSample.of(folder, ZERO3, "files", data, parity);
        Random random = new Random(data);
        List<Path> files = sample.files();
        for (int round = 0; round < 3; round++) {
            List<Path> lost = ProtectedSample.some(files, parity, random);
            for (Path path : lost) {
                Files.delete(path);
            }
            Path degraded = sample.degraded();
            assertThat(ProtectedSample.digests(degraded)).isEqualTo(sample.digests);
            for (Path path : lost) {
                Path seen = degraded.resolve(sample.checkpoint.relativize(path).toString());
                assertThat(Files.readAllBytes(seen)).hasSize((int) Files.size(seen));
                assertThat(HexFormat.of().formatHex(Files.readAllBytes(seen)))
                        .isEqualTo(sample.before.get(path));
                assertThat(path).doesNotExist();
            }
            sample.repair();
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"dp", "tp", "pp"})
    void aRankOfEveryGroupMayBeLost(String axis) throws IOException {
        ProtectedSample sample = ProtectedSample.of(folder, MEGATRON, axis, 3, 1);
        Random random = new Random(axis.hashCode());
        List<Path> lost = new ArrayList<>();
        for (ParitySet set : sample.open().manifest().sets()) {
            ParitySet.Member member = set.members().get(random.nextInt(set.members().size()));
            for (StoredFile file : member.files()) {
                lost.add(sample.checkpoint.resolve(file.path()));
                Files.delete(lost.getLast());
            }
        }
        assertThat(ProtectedSample.digests(sample.degraded())).isEqualTo(sample.digests);
        assertThat(sample.repair()).containsExactlyInAnyOrderElementsOf(lost);
        assertThat(sample.now()).isEqualTo(sample.before);
    }

    @ParameterizedTest
    @CsvSource({"node=1, 3, 2", "node=2, 2, 1", "node=2, 1, 2"})
    void nodesMayBeLostWithTheParityThatTheyHold(String group, int data, int parity)
            throws IOException {
        ProtectedSample sample = ProtectedSample.of(folder, MEGATRON, group, data, parity);
        List<String> nodes =
                sample.open().manifest().sets().stream()
                        .flatMap(s -> s.members().stream())
                        .map(ParitySet.Member::name)
                        .toList();
        Random random = new Random(parity);
        for (int round = 0; round < 4; round++) {
            List<Path> names = nodes.stream().map(Path::of).toList();
            for (Path name : ProtectedSample.some(names, parity, random)) {
                loseNode(sample, name.toString());
            }
            assertThat(ProtectedSample.digests(sample.degraded())).isEqualTo(sample.digests);
            sample.repair();
            assertThat(sample.now()).isEqualTo(sample.before);
        }
    }

    private static void loseNode(ProtectedSample sample, String node) throws IOException {
        ParityManifest manifest = sample.open().manifest();
        for (ParitySet set : manifest.sets()) {
            for (ParitySet.Member member : set.members()) {
                for (StoredFile file : member.files()) {
                    if (member.name().equals(node)) {
                        Files.delete(sample.checkpoint.resolve(file.path()));
                    }
                }
            }
        }
        Path holder = sample.parity.resolve(node.replace(' ', '-'));
        if (Files.exists(holder)) {
            try (Stream<Path> files = Files.list(holder)) {
                for (Path file : files.toList()) {
                    Files.delete(file);
                }
            }
            Files.delete(holder);
        }
    }

    @Test
    void noNodeHoldsTheParityOfItsOwnFiles() throws IOException {
        ProtectedSample sample = ProtectedSample.of(folder, MEGATRON, "node=1", 3, 2);
        for (ParitySet set : sample.open().manifest().sets()) {
            List<String> members =
                    set.members().stream().map(m -> m.name().replace(' ', '-')).toList();
            List<String> holders =
                    set.parity().stream()
                            .map(f -> f.path().substring(0, f.path().indexOf('/')))
                            .toList();
            assertThat(holders).doesNotContainAnyElementsOf(members).doesNotHaveDuplicates();
        }
    }

    @Test
    void oneTooManyIsRefusedAndSaysWhatWouldBeEnough() throws IOException {
        ProtectedSample sample = ProtectedSample.of(folder, ZERO3, "dp", 4, 2);
        List<Path> lost =
                sample.files().stream()
                        .filter(p -> p.toString().matches(".*rank_[013]_mp.*optim_states.pt"))
                        .toList();
        assertThat(lost).hasSize(3);
        for (Path path : lost) {
            Files.delete(path);
        }
        String names = "%s, %s, %s".formatted(lost.get(0), lost.get(1), lost.get(2));
        for (var use : List.<ThrowingCallable>of(sample::repair, sample::degraded)) {
            assertThatThrownBy(use)
                    .isInstanceOf(IncompleteCheckpointException.class)
                    .hasMessageContaining(
                            "3 files that belong together are lost or damaged: " + names)
                    .hasMessageContaining("at most 2")
                    .hasMessageContaining("any 1 of them would be enough");
        }
        assertThat(sample.scrub().repairable()).isFalse();
        assertThat(lost).allSatisfy(path -> assertThat(path).doesNotExist());
        assertThat(sample.checkpoint.resolve("global_step3"))
                .isDirectoryNotContaining("glob:**ucp-repair");
    }

    @Test
    void whatWouldBeEnoughIsEnough() throws IOException {
        ProtectedSample sample = ProtectedSample.of(folder, MEGATRON, "files", 4, 1);
        Random random = new Random(3);
        List<Path> lost = ProtectedSample.some(sample.files(), 14, random);
        for (Path path : lost) {
            Files.delete(path);
        }
        String message = "";
        try {
            sample.repair();
        } catch (IncompleteCheckpointException e) {
            message = String.valueOf(e.getMessage());
        }
        assertThat(message).contains("these would be enough: ");
        String list = message.replaceAll("(?s).*these would be enough: (.*); bring.*", "$1");
        for (String path : list.split(", ", -1)) {
            Path file = Path.of(path);
            assertThat(lost).contains(file);
            Files.write(file, HexFormat.of().parseHex(sample.before.get(file)));
        }
        sample.repair();
        assertThat(sample.now()).isEqualTo(sample.before);
    }

    @Test
    void silentDamageIsFoundToTheBlockAndRepaired() throws IOException {
        ProtectedSample sample = ProtectedSample.of(folder, ZERO3, "files", 4, 2);
        assertThat(sample.scrub().whole()).isTrue();
        Random random = new Random(11);
        List<Path> all = new ArrayList<>(sample.files());
        all.addAll(sample.parityFiles());
        all.removeIf(path -> path.endsWith("empty.log"));
        for (int round = 0; round < 20; round++) {
            Path file = all.get(random.nextInt(all.size()));
            long at = random.nextLong(Files.size(file));
            ProtectedSample.flip(file, at);
            Health health = sample.scrub();
            assertThat(health.damages()).hasSize(1);
            assertThat(health.damages().getFirst().path()).isEqualTo(file);
            assertThat(health.damages().getFirst().what()).contains("damaged in 1 of ");
            ByteSpan range = health.damages().getFirst().ranges().getFirst();
            assertThat(range.from()).isLessThanOrEqualTo(at);
            assertThat(range.to()).isGreaterThan(at);
            assertThat(range.to() - range.from()).isLessThanOrEqualTo(ProtectedSample.BLOCK);
            assertThat(sample.repair()).containsExactly(file);
            assertThat(sample.now()).isEqualTo(sample.before);
        }
    }

    /// Far more blocks than one file may lose, but never more than two of a stripe.
    @Test
    void damageIsCountedByStripe() throws IOException {
        ProtectedSample sample = ProtectedSample.of(folder, ZERO3, "dp", 4, 2);
        List<Path> ranks =
                sample.files().stream()
                        .filter(p -> p.toString().endsWith("optim_states.pt"))
                        .toList();
        long blocks = Files.size(ranks.getFirst()) / ProtectedSample.BLOCK;
        for (int t = 0; t < blocks; t++) {
            ProtectedSample.flip(ranks.get(t % 4), (long) t * ProtectedSample.BLOCK + t);
            ProtectedSample.flip(ranks.get((t + 1) % 4), (long) t * ProtectedSample.BLOCK + t);
        }
        assertThat(sample.scrub().damages()).hasSize(4);
        sample.repair();
        assertThat(sample.now()).isEqualTo(sample.before);
    }

    @Test
    void filesOfAnotherLengthAreMadeRight() throws IOException {
        ProtectedSample sample = ProtectedSample.of(folder, ZERO3, "files", 4, 2);
        Path model = sample.files().getLast();
        Path empty = sample.checkpoint.resolve("global_step3/empty.log");
        byte[] bytes = Files.readAllBytes(model);
        ProtectedSample.damage(model, Arrays.copyOf(bytes, bytes.length / 2));
        ProtectedSample.damage(empty, new byte[9]);
        assertThat(sample.scrub().damages()).hasSize(2);
        assertThat(ProtectedSample.digests(sample.degraded())).isEqualTo(sample.digests);
        sample.repair();
        ProtectedSample.damage(model, Arrays.copyOf(bytes, bytes.length + 5));
        Files.delete(empty);
        assertThat(sample.scrub().damages()).hasSize(2);
        sample.repair();
        assertThat(sample.now()).isEqualTo(sample.before);
    }

    @Test
    void whatSomebodyWroteSinceIsToldAndMadeWhatWasProtected() throws IOException {
        ProtectedSample sample = ProtectedSample.of(folder, ZERO3, "files", 4, 2);
        Path lost = sample.files().getFirst();
        Path written = sample.files().getLast();
        byte[] bytes = Files.readAllBytes(written);
        FileTime protectedAt = Files.getLastModifiedTime(written);
        for (byte[] content : List.of(new byte[bytes.length], new byte[5])) {
            Files.deleteIfExists(lost);
            Files.write(written, content);
            Files.setLastModifiedTime(
                    written, FileTime.from(protectedAt.toInstant().minusSeconds(60)));
            Health health = sample.scrub();
            assertThat(health.damages().stream().filter(FileDamage::written))
                    .singleElement()
                    .matches(damage -> damage.path().equals(written));
            assertThat(health.damages().getLast().what())
                    .endsWith("; written since it was protected");
            assertThat(health.damages().getFirst().written()).isFalse();
            assertThat(sample.repair()).containsExactly(lost, written);
            assertThat(sample.now()).isEqualTo(sample.before);
            assertThat(Files.getLastModifiedTime(written).toMillis())
                    .isEqualTo(protectedAt.toMillis());
        }
        ProtectedSample.flip(written, 0);
        assertThat(sample.repair()).containsExactly(written);
    }

    @Test
    void whatMayNotBeReadIsNotDamaged() throws IOException {
        ProtectedSample sample = ProtectedSample.of(folder, ZERO3, "files", 4, 2);
        Path denied = sample.files().getFirst();
        Path seen =
                Overlay.of(
                        sample.checkpoint, Map.of(denied, new Denied(denied, Files.size(denied))));
        ProtectedCheckpoint opened = ProtectedCheckpoint.open(seen, sample.parity);
        assertThatThrownBy(() -> Scrub.of(opened, ProtectedSample.OPTIONS, (done, total) -> {}))
                .isInstanceOf(AccessDeniedException.class)
                .hasMessage(denied.toString());
    }

    private record Denied(Path path, long size) implements ByteSource {
        @Override
        public ByteReader open() throws IOException {
            throw new AccessDeniedException(path.toString());
        }
    }

    @Test
    void damagedSurvivorCountsAsLostWhileReading() throws IOException {
        ProtectedSample sample = ProtectedSample.of(folder, ZERO3, "dp", 4, 2);
        List<Path> ranks =
                sample.files().stream()
                        .filter(p -> p.toString().endsWith("optim_states.pt"))
                        .toList();
        Files.delete(ranks.get(0));
        byte[] before = Files.readAllBytes(ranks.get(1));
        for (int at = 0; at < before.length; at += ProtectedSample.BLOCK / 2) {
            before[at] ^= 4;
        }
        Files.write(ranks.get(1), before);
        Path seen =
                sample.degraded()
                        .resolve("global_step3")
                        .resolve(ranks.get(0).getFileName().toString());
        assertThat(HexFormat.of().formatHex(Files.readAllBytes(seen)))
                .isEqualTo(sample.before.get(ranks.get(0)));
        Files.delete(ranks.get(2));
        Path third =
                sample.degraded()
                        .resolve("global_step3")
                        .resolve(ranks.get(0).getFileName().toString());
        assertThatThrownBy(() -> Files.readAllBytes(third))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining(ranks.get(1).toString());
    }

    @Test
    void lostPointerIsReadAndWrittenAgainButNeverChanged() throws IOException {
        ProtectedSample sample = ProtectedSample.of(folder, ZERO3, "files", 4, 2);
        Path latest = sample.checkpoint.resolve("latest");
        Files.delete(latest);
        assertThat(ProtectedSample.digests(sample.degraded())).isEqualTo(sample.digests);
        assertThat(sample.repair()).containsExactly(latest);
        Files.writeString(latest, "global_step4");
        assertThat(sample.repair()).isEmpty();
        assertThat(latest).hasContent("global_step4");
    }

    @Test
    void tagFolderCanBeNamedInPlaceOfItsRoot() throws IOException {
        ProtectedSample sample = ProtectedSample.of(folder, ZERO3, "files", 4, 2);
        Path tag = sample.checkpoint.resolve("global_step3");
        Files.delete(sample.files().getFirst());
        assertThat(ProtectedSample.digests(Degraded.open(tag, sample.parity)))
                .isEqualTo(sample.digests);
        Repair.of(
                Scrub.of(
                        ProtectedCheckpoint.open(tag, sample.parity),
                        ProtectedSample.OPTIONS,
                        (done, total) -> {}),
                ProtectedSample.OPTIONS,
                (done, total) -> {});
        assertThat(sample.now()).isEqualTo(sample.before);
    }

    @Test
    void killedRepairIsTakenUp() throws IOException {
        ProtectedSample sample = ProtectedSample.of(folder, ZERO3, "files", 4, 2);
        Path lost = sample.files().getFirst();
        Files.delete(lost);
        Files.write(
                lost.resolveSibling("." + lost.getFileName() + ".ucp-repair"), new byte[9_999_999]);
        sample.repair();
        assertThat(sample.now()).isEqualTo(sample.before);
    }

    @Test
    void whatIsLeftBehindAParityThatIsWholeIsRemovedByTheNextThatIsRefused() throws IOException {
        ProtectedSample sample = ProtectedSample.of(folder, ZERO3, "files", 4, 2);
        Path left = Files.createDirectory(folder.resolve(".parity.ucp-new"));
        Files.writeString(left.resolve("lock"), "");
        assertThatThrownBy(() -> protect(sample, "files", sample.parity))
                .isInstanceOf(OutputExistsException.class);
        assertThat(left).doesNotExist();
        assertThat(sample.now()).isEqualTo(sample.before);
    }

    @Test
    void checkpointThatChangesMeanwhileIsNotProtected() throws IOException {
        ProtectedSample sample = ProtectedSample.of(folder, ZERO3, "files", 4, 2);
        Listing listing =
                Listing.of(
                        sample.checkpoint, OpenedSource.open(sample.checkpoint, Optional.empty()));
        listing.requireUnchanged();
        Path file = sample.files().getFirst();
        Files.write(file, new byte[] {1}, StandardOpenOption.APPEND);
        assertThatThrownBy(listing::requireUnchanged)
                .isInstanceOf(FileSystemException.class)
                .hasMessageContaining(file + ": it changed while it was read");
    }

    @Test
    void fileThatIsAddedMeanwhileIsNotLeftOutInSilence() throws IOException {
        ProtectedSample sample = ProtectedSample.of(folder, ZERO3, "files", 4, 2);
        Listing listing =
                Listing.of(
                        sample.checkpoint, OpenedSource.open(sample.checkpoint, Optional.empty()));
        Path late = Files.writeString(sample.files().getFirst().resolveSibling("late.pt"), "x");
        assertThatThrownBy(listing::requireUnchanged)
                .isInstanceOf(FileSystemException.class)
                .hasMessageContaining(late + ": it changed while it was read");
    }

    @Test
    void parityGoesNowhereWhereItIsLostToo() throws IOException {
        ProtectedSample sample = ProtectedSample.of(folder, ZERO3, "files", 4, 2);
        assertThatThrownBy(
                        () -> protect(sample, "files", sample.checkpoint.resolve("global_step3/p")))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("parity inside of what it protects");
        assertThatThrownBy(() -> protect(sample, "files", sample.parity))
                .isInstanceOf(OutputExistsException.class);
        assertThatThrownBy(() -> protect(sample, "tp", folder.resolve("p")))
                .isInstanceOf(ImpossibleLayoutException.class)
                .hasMessageContaining("one of its axes: dp");
        assertThat(sample.now()).isEqualTo(sample.before);
        assertThat(folder.resolve("p")).doesNotExist();
    }

    private void protect(ProtectedSample sample, String group, Path output) throws IOException {
        Protection.run(
                new Protection.Request(
                        sample.checkpoint,
                        OpenedSource.open(sample.checkpoint, Optional.empty()),
                        Grouping.parse(group).orElseThrow(),
                        2,
                        1),
                output,
                ProtectedSample.OPTIONS,
                (done, total) -> {});
    }

    @Test
    void groupsAreWordsOfAxesOrNodes() {
        assertThat(Grouping.parse("node=8")).contains(new Grouping.ByNode(8));
        assertThat(Grouping.parse("dp")).contains(new Grouping.ByAxis("dp"));
        assertThat(Grouping.parse("files")).contains(new Grouping.ByFile());
        assertThat(Stream.of("node", "node=0", "node=x", "", "DP", "a b", "node=9999999"))
                .allSatisfy(text -> assertThat(Grouping.parse(text)).isEmpty());
    }
}
