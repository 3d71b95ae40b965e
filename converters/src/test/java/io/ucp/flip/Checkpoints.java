package io.ucp.flip;

import io.ucp.checkpoint.Inventory;
import io.ucp.checkpoint.Parameter;
import io.ucp.convert.Conversion;
import io.ucp.convert.Described;
import io.ucp.convert.DigestFile;
import io.ucp.convert.Digests;
import io.ucp.convert.Jobs;
import io.ucp.convert.Leftover;
import io.ucp.convert.OpenedSource;
import io.ucp.convert.OutputFolder;
import io.ucp.convert.Request;
import io.ucp.convert.RunOptions;
import io.ucp.convert.Trees;
import io.ucp.convert.Verification;
import io.ucp.convert.Verification.Verdict;
import io.ucp.formats.CheckpointIndex;
import io.ucp.parity.Grouping;
import io.ucp.parity.Health;
import io.ucp.parity.ProtectedCheckpoint;
import io.ucp.parity.Protection;
import io.ucp.parity.Scrub;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// Checkpoints to damage, each beside a copy that stays as it is.
final class Checkpoints {
    static final Path SAMPLES = Path.of("../samples");
    static final RunOptions QUICK =
            RunOptions.standard()
                    .withThreads(1)
                    .withOutput(new OutputFolder.Rules(Leftover.REFUSE, false, false));

    private Checkpoints() {}

    /// A checkpoint as `verify` looks at it.
    ///
    /// @param source left alone
    /// @param at new folder for two copies
    static Damaged of(String name, Path source, String unsealed, Path at) throws IOException {
        Path whole = at.resolve("whole/checkpoint");
        Path damaged = at.resolve("damaged/checkpoint");
        Trees.copy(source, whole);
        Trees.copy(source, damaged);
        Described before = describe(whole);
        DigestFile record =
                DigestFile.of(
                                before.inventory(),
                                Digests.of(before.inventory(), QUICK, (done, total) -> {}))
                        .withFiles(describe(damaged).source().index());
        Verdict same = Verification.compare(before, before, QUICK, (done, total) -> {});
        return new Damaged(
                name, damaged, unsealed, () -> look(before, same.notes(), damaged, record));
    }

    private static Outcome look(
            Described before, List<String> notes, Path damaged, DigestFile record)
            throws IOException {
        Described now = describe(damaged);
        Verdict alone = Verification.check(now, QUICK, (done, total) -> {});
        if (!alone.equal()) {
            return new Outcome(Outcome.Kind.FOUND, alone.differences().getFirst().toString());
        }
        Verdict held = Verification.compare(before, now, QUICK, (done, total) -> {});
        String unlike =
                !held.equal()
                        ? held.differences().getFirst().toString()
                        : held.notes().equals(notes)
                                ? unlike(before.inventory(), now.inventory())
                                : held.notes().toString();
        if (unlike.isEmpty()) {
            return new Outcome(Outcome.Kind.HARMLESS, "");
        }
        Verdict against = Verification.check(now, Optional.of(record), QUICK, (done, total) -> {});
        return new Outcome(against.equal() ? Outcome.Kind.MISSED : Outcome.Kind.RECORDED, unlike);
    }

    /// What else was read, where it is not as it was; digests of states and carried files are
    /// compared elsewhere.
    private static String unlike(Inventory before, Inventory now) {
        CheckpointIndex a = before.index();
        CheckpointIndex b = now.index();
        if (!facts(before).equals(facts(now))) {
            return "parameters are not what they were";
        }
        boolean same =
                a.format().equals(b.format())
                        && a.iteration().equals(b.iteration())
                        && a.stage() == b.stage()
                        && a.mesh().equals(b.mesh())
                        && a.hints().equals(b.hints())
                        && before.origin().equals(now.origin())
                        && a.findings().size() == b.findings().size();
        return same ? "" : "what the checkpoint says of itself is not what it was";
    }

    private static List<String> facts(Inventory inventory) {
        return inventory.parameters().stream().map(Parameter::facts).map(Object::toString).toList();
    }

    /// Parity, as `scrub` looks at it.
    static Damaged parity(Path at) throws IOException {
        Path checkpoint = at.resolve("checkpoint");
        Path parity = at.resolve("parity");
        Trees.copy(SAMPLES.resolve("gpt2-zero2-tied-frozen/checkpoint"), checkpoint);
        Protection.run(
                new Protection.Request(
                        checkpoint,
                        OpenedSource.open(checkpoint, Optional.empty()),
                        new Grouping.ByFile(),
                        3,
                        1),
                parity,
                QUICK,
                (done, total) -> {});
        Map<String, ByteBuffer> before = CutOff.contents(parity);
        return new Damaged(
                "parity",
                parity,
                Damaged.NONE,
                () -> {
                    Health health =
                            Scrub.of(
                                    ProtectedCheckpoint.open(checkpoint, parity),
                                    QUICK,
                                    (done, total) -> {});
                    return health.whole()
                            ? new Outcome(
                                    CutOff.contents(parity).equals(before)
                                            ? Outcome.Kind.HARMLESS
                                            : Outcome.Kind.MISSED,
                                    "scrub finds nothing")
                            : new Outcome(Outcome.Kind.FOUND, health.damages().getFirst().what());
                });
    }

    /// The file of digests itself, as `verify --against` reads it.
    static Damaged digests(Path at) throws IOException {
        Path checkpoint = SAMPLES.resolve("hf-llama-sharded/checkpoint");
        Described described = describe(checkpoint);
        DigestFile record =
                DigestFile.of(
                                described.inventory(),
                                Digests.of(described.inventory(), QUICK, (done, total) -> {}))
                        .withFiles(described.source().index());
        Path folder = Files.createDirectories(at.resolve("record"));
        Path file = folder.resolve("digests.json");
        record.write(file);
        return new Damaged(
                "recorded digests",
                folder,
                Damaged.NONE,
                () -> {
                    DigestFile read = DigestFile.read(file);
                    if (read.equals(record)) {
                        return new Outcome(Outcome.Kind.HARMLESS, "");
                    }
                    Verdict verdict =
                            Verification.check(
                                    described, Optional.of(read), QUICK, (done, total) -> {});
                    return new Outcome(
                            verdict.equal() ? Outcome.Kind.MISSED : Outcome.Kind.FOUND,
                            verdict.differences().toString());
                });
    }

    static Path converted(Path source, String to, Map<String, String> options, Path out)
            throws IOException {
        Request request =
                new Request(source, Optional.empty(), to, Optional.empty(), Map.of(), options);
        if (to.startsWith("megatron")) {
            request = request.withTarget(Jobs.megatron(2));
        }
        Conversion.run(Conversion.prepare(request), out, QUICK, (done, total) -> {});
        return out;
    }

    private static Described describe(Path path) throws IOException {
        return Described.of(path, Optional.empty(), Optional.empty(), Map.of());
    }
}
