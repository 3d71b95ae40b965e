package io.ucp.flip;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.convert.UnknownFormatException;
import io.ucp.flip.ByteClasses.Range;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.RefusedException;
import io.ucp.io.MalformedFileException;
import io.ucp.lang.diagnostic.SpecException;
import io.ucp.layout.ImpossibleLayoutException;
import io.ucp.plan.ImpossiblePlanException;

import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;

/// Checkpoints of every format, damaged at one place after another: `verify` finds it, or nothing
/// that is read is another than before. So does a conversion of it, or its output is the very same.
/// Places are taken from every kind of byte alike. `.ci/flip` tries a thousand places of each
/// (`-Ducp.flip.places=`, `-Ducp.flip.seed=`, `-Ducp.flip.kind=` for one kind alone,
/// `-Ducp.flip.checkpoint=` for another checkpoint).
final class FlipTest {
    private static final int PLACES = Integer.getInteger("ucp.flip.places", 40);
    private static final long SEED = Long.getLong("ucp.flip.seed", 20_261_128);

    /// A name of one of [#KINDS], or of what was given; empty for all.
    private static final String ONLY = System.getProperty("ucp.flip.kind", "");

    private static final String CHECKPOINT = System.getProperty("ucp.flip.checkpoint", "");

    private static final Path DCP = Path.of("../formats/src/test/resources/io/ucp/formats/dcp");
    private static final Path GPT2 =
            Checkpoints.SAMPLES.resolve("gpt2-zero2-tied-frozen/checkpoint");

    private static final Path LLAMA = Checkpoints.SAMPLES.resolve("hf-llama-sharded/checkpoint");

    /// Before the name of a kind: it is converted, and not verified.
    private static final String CONVERTING = "converting-";

    /// The checkpoint that was named.
    private static final String GIVEN = "given";

    /// What holds a model's hyperparameters, of which nothing keeps a checksum.
    private static final String CONFIG = "(generation_)?config\\.json";

    private static final List<String> KINDS =
            List.of(
                    "deepspeed",
                    "deepspeed-zero3",
                    "deepspeed-universal",
                    "universal",
                    "universal-zstd",
                    "universal-shuffle",
                    "dcp",
                    "megatron",
                    "megatron-dist",
                    "megatron-optimizer",
                    "megatron-dist-optimizer",
                    "safetensors",
                    "state-dict",
                    "parity",
                    "digests",
                    "cut-off",
                    CONVERTING + "deepspeed",
                    CONVERTING + "deepspeed-zero3",
                    CONVERTING + "deepspeed-universal",
                    CONVERTING + "universal",
                    CONVERTING + "universal-zstd",
                    CONVERTING + "dcp",
                    CONVERTING + "megatron",
                    CONVERTING + "megatron-dist",
                    CONVERTING + "megatron-optimizer",
                    CONVERTING + "megatron-dist-optimizer",
                    CONVERTING + "safetensors",
                    CONVERTING + "state-dict");

    @TempDir Path folder;

    private Damaged damaged(String name) throws IOException {
        if (name.startsWith(CONVERTING)) {
            return Converting.of(damaged(name.substring(CONVERTING.length())), folder);
        }
        return switch (name) {
            case "deepspeed" -> Checkpoints.of(name, GPT2, Damaged.NONE, folder);
            case "deepspeed-zero3" -> sample(name, "llama-zero3-dp4", Damaged.NONE);
            case "deepspeed-universal" -> converted(name, "deepspeed-universal", Map.of());
            case "universal" -> converted(name, "universal", Map.of());
            case "universal-zstd" -> converted(name, "universal", Map.of("compress", "zstd"));
            case "universal-shuffle" ->
                    converted(name, "universal", Map.of("compress", "zstd+shuffle"));
            case "dcp" -> Checkpoints.of(name, DCP.resolve("fsdp2"), "\\.metadata", folder);
            case "megatron" -> made(name, LLAMA, name, Map.of(), CONFIG);
            case "megatron-dist" -> made(name, LLAMA, name, Map.of(), CONFIG + "|\\.metadata");
            case "megatron-optimizer" -> sample(name, "megatron-llama", Damaged.NONE);
            case "megatron-dist-optimizer" -> sample(name, "megatron-dist-llama", "\\.metadata");
            case "safetensors" -> sample(name, "hf-llama-sharded", ".*");
            case "state-dict" -> sample(name, "hf-llama-bin", CONFIG + "|.*index\\.json");
            case "parity" -> Checkpoints.parity(folder);
            case "digests" -> Checkpoints.digests(folder);
            case "cut-off" -> CutOff.of(folder);
            default ->
                    Checkpoints.of(
                            CHECKPOINT, Path.of(CHECKPOINT), "(?!zip|arrow|metadata).*", folder);
        };
    }

    private Damaged sample(String name, String sample, String unsealed) throws IOException {
        Path source = Checkpoints.SAMPLES.resolve(sample).resolve("checkpoint");
        return Checkpoints.of(name, source, unsealed, folder);
    }

    private Damaged converted(String name, String to, Map<String, String> options)
            throws IOException {
        return made(name, GPT2, to, options, Damaged.NONE);
    }

    private Damaged made(
            String name, Path source, String to, Map<String, String> options, String unsealed)
            throws IOException {
        Path made = Checkpoints.converted(source, to, options, folder.resolve("made"));
        return Checkpoints.of(name, made, unsealed, folder);
    }

    static List<String> kinds() {
        List<String> kinds = new ArrayList<>(KINDS);
        if (!CHECKPOINT.isEmpty()) {
            kinds.add(GIVEN);
            kinds.add(CONVERTING + GIVEN);
        }
        kinds.removeIf(kind -> !ONLY.isEmpty() && !kind.equals(ONLY));
        return kinds;
    }

    @ParameterizedTest
    @MethodSource("kinds")
    void whatMattersIsFound(String name) throws IOException {
        tryAll(damaged(name));
    }

    private static void tryAll(Damaged damaged) throws IOException {
        assertThat(look(damaged).kind()).as("undamaged").isEqualTo(Outcome.Kind.HARMLESS);
        Map<String, List<Range>> classes = ByteClasses.of(damaged.files());
        List<String> names = List.copyOf(classes.keySet());
        SplittableRandom random = new SplittableRandom(SEED);
        Map<String, Map<Outcome.Kind, Integer>> counts = new TreeMap<>();
        for (int k = 0; k < PLACES; k++) {
            String of = names.get(k % names.size());
            Place place = Place.any(classes.get(of), random);
            boolean cut = random.nextInt(10) == 0;
            byte[] before = Files.readAllBytes(place.file());
            byte[] after = cut ? Arrays.copyOf(before, (int) place.at()) : before.clone();
            if (!cut) {
                after[(int) place.at()] ^= (byte) (1 << random.nextInt(8));
            }
            Files.write(place.file(), after);
            Outcome outcome = look(damaged);
            Files.write(place.file(), before);
            counts.computeIfAbsent(of, _ -> new EnumMap<>(Outcome.Kind.class))
                    .merge(outcome.kind(), 1, Integer::sum);
            String told =
                    "%s, %s %s at %d of %s: %s"
                            .formatted(
                                    damaged.name(),
                                    of,
                                    cut ? "cut-off" : "flipped",
                                    place.at(),
                                    place.file().getFileName(),
                                    outcome.what());
            assertThat(outcome.kind()).as(told).isNotEqualTo(Outcome.Kind.MISSED);
            if (!of.matches(damaged.unsealed())) {
                assertThat(outcome.kind()).as(told).isNotEqualTo(Outcome.Kind.RECORDED);
            }
        }
        if (Boolean.getBoolean("ucp.flip.report")) {
            counts.forEach((of, each) -> System.out.printf("%s | %s | %s%n", damaged, of, each));
        }
    }

    /// A byte of a file.
    private record Place(Path file, long at) {
        static Place any(List<Range> ranges, SplittableRandom random) {
            long size = ranges.stream().mapToLong(r -> r.to() - r.from()).sum();
            long left = random.nextLong(size);
            for (Range range : ranges) {
                if (left < range.to() - range.from()) {
                    return new Place(range.file(), range.from() + left);
                }
                left -= range.to() - range.from();
            }
            throw new AssertionError();
        }
    }

    private static Outcome look(Damaged damaged) throws IOException {
        try {
            return damaged.look().now();
        } catch (MalformedFileException
                | IncompleteCheckpointException
                | RefusedException
                | SpecException
                | ImpossibleLayoutException
                | ImpossiblePlanException
                | UnknownFormatException
                | FileSystemException e) {
            return new Outcome(Outcome.Kind.FOUND, String.valueOf(e.getMessage()));
        }
    }
}
