package io.ucp.convert;

import io.ucp.bind.TargetBinder;
import io.ucp.checkpoint.Inventory;
import io.ucp.checkpoint.Parameter;
import io.ucp.checkpoint.WeightsOnly;
import io.ucp.execute.ExecutionResult;
import io.ucp.execute.ExecutionResult.Difference;
import io.ucp.execute.Observer;
import io.ucp.execute.Options;
import io.ucp.execute.PlanExecutor;
import io.ucp.execute.Progress;
import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Finding;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetJob;
import io.ucp.formats.TargetTree;
import io.ucp.formats.TargetTree.SmallFile;
import io.ucp.formats.WriteRequest;
import io.ucp.io.ByteSource;
import io.ucp.io.Checksummed;
import io.ucp.io.MalformedFileException;
import io.ucp.plan.CopyPlan;
import io.ucp.plan.Planner;
import io.ucp.plan.RoundTrip;
import io.ucp.plan.Step;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.TreeMap;
import java.util.stream.Collectors;

/// The chain from source files to target files.
///
/// ```
/// index -> spec -> bind -> assemble -> rename
///                                      what the source is             describe
///   -> name -> lay the target out -> plan
///                                      what is to be copied where     prepare
///     -> execute -> commit             the target, whole or not       run
/// ```
public final class Conversion {
    private Conversion() {}

    /// Everything up to the plan; reads no tensor data and writes nothing.
    public static Prepared prepare(Request request) throws IOException {
        return prepare(request, Described.of(request));
    }

    /// Of a source that is described already.
    public static Prepared prepare(Request request, Described described) throws IOException {
        TargetNames names = TargetNames.of(request, described, format(request.to()));
        WithoutEffect.refuse(request, described, names, format(request.to()));
        Optional<TargetJobs.Asked> asked = TargetJobs.of(request, described, names);
        Optional<TargetBinder.Bound> bound = asked.map(TargetJobs.Asked::bound);
        if (request.weightsOnly()) {
            names = names.with(WeightsOnly.of(names.inventory()));
        }
        Optional<TargetJob> job = bound.map(TargetBinder.Bound::job);
        if (job.isPresent()) {
            RoundTrip.prove(SourceNames.facts(names.inventory()), job.get());
        }
        TargetTree tree = layout(request, names, job);
        CopyPlan plan = Planner.plan(names.inventory(), tree.files());
        Prepared prepared =
                new Prepared(
                        request,
                        described,
                        names.inventory(),
                        tree,
                        plan,
                        bound,
                        bound.map(TargetBinder.Bound::notes).orElse(List.of()));
        return asked.isPresent() && asked.get().same()
                ? prepared.withCopied(CopiedSource.of(described.source().index(), tree))
                : prepared;
    }

    /// Weights alone are nothing special to a form that has no place for more.
    private static Map<String, String> optionsOf(Request request) {
        Map<String, String> options = new HashMap<>(request.options());
        if (!format(request.to()).options().contains(Request.WEIGHTS_ONLY)) {
            options.remove(Request.WEIGHTS_ONLY);
        }
        return options;
    }

    /// Of parts of a source, for a target that holds every parameter whole.
    public static Prepared prepare(Request request, Described described, Part part)
            throws IOException {
        TargetNames whole = TargetNames.of(request, described, format(request.to()));
        WithoutEffect.refuse(request, described, whole, format(request.to()));
        Part.Taken taken =
                part.of(
                        request.weightsOnly()
                                ? WeightsOnly.of(whole.inventory())
                                : whole.inventory());
        TargetNames names =
                new TargetNames(taken.inventory(), whole.hints().withoutNames(), Optional.empty());
        TargetTree tree = losing(layout(request, names, Optional.empty()), taken.losses());
        return new Prepared(
                request,
                described,
                taken.inventory(),
                tree,
                Planner.plan(taken.inventory(), tree.files()),
                Optional.empty(),
                List.of());
    }

    /// The same target, which says more of what it has no place for.
    static TargetTree losing(TargetTree tree, List<String> losses) {
        List<String> all = new ArrayList<>(tree.losses());
        all.addAll(losses);
        return new TargetTree(tree.files(), tree.closing(), tree.pointers(), all, tree.notes());
    }

    /// The files of the target.
    static TargetTree layout(Request request, TargetNames names, Optional<TargetJob> job) {
        Inventory inventory = names.inventory();
        Foreign files = job.isPresent() ? Foreign.of(inventory.carried()) : Foreign.none(inventory);
        return format(request.to())
                .layout(
                        new WriteRequest(
                                inventory.index().tag(),
                                inventory.index().iteration(),
                                inventory.origin(),
                                SourceNames.facts(inventory),
                                names.hints(),
                                files.kept(),
                                files.foreign(),
                                optionsOf(request),
                                job));
    }

    /// Runs a plan into `output`, which appears whole or not at all. What a run that ends before
    /// has written stays for the next one where that can go on with it; the exception has a
    /// [WorkKeptException] among its suppressed ones then.
    ///
    /// @throws IncompleteCheckpointException where replicas differ, or a state from its digest
    /// @throws RefusedException where `strict` forbids what would be lost, or the source changed
    public static Report run(Prepared prepared, Path output, RunOptions given, Progress progress)
            throws IOException {
        long start = System.nanoTime();
        RunOptions options = JobRecord.inWindowsOf(output, given);
        if (options.strict()) {
            refuseLosses(prepared);
        }
        for (Described each : prepared.sources()) {
            Replaceable.requireApart(each.source().index().folder(), output);
        }
        if (prepared.copied().isPresent()) {
            OutputFolder.require(output, options.output());
        }
        Fingerprint reading = Fingerprint.of(prepared);
        for (Path file : reading.sources().values()) {
            Replaceable.requireApart(file, output);
        }
        SourceState source = SourceState.of(reading.sources());
        SourceState.requireAsIndexed(reading.read());
        Optional<ExecutionResult> same =
                CopiedSource.read(
                        prepared,
                        executing(options).withChecksums(checksums(prepared, reading.read())),
                        options,
                        progress);
        Prepared written = same.isPresent() ? prepared.asCopied() : prepared;
        Fingerprint fingerprint = same.isPresent() ? Fingerprint.of(written) : reading;
        JobRecord job = JobRecord.of(written, fingerprint, source, options);
        try (OutputFolder folder =
                OutputFolder.open(output, options.output(), job, written.plan())) {
            try {
                ExecutionResult made =
                        execute(written, fingerprint.read(), folder, options, progress);
                ExecutionResult result =
                        same.map(read -> CopiedSource.both(read, made)).orElse(made);
                KeptDigests.require(prepared, result);
                List<String> differences = acceptable(result, options);
                List<SmallFile> small = small(prepared, result);
                Optional<String> untidy = Optional.empty();
                OptionalLong readBack = OptionalLong.empty();
                if (!folder.complete()) {
                    for (SmallFile file : small) {
                        folder.write(file);
                    }
                    if (options.readBack()) {
                        readBack =
                                OptionalLong.of(
                                        ReadBack.require(
                                                prepared,
                                                folder.output(),
                                                result,
                                                options,
                                                progress));
                    }
                    SourceState.of(reading.sources())
                            .requireSame(
                                    source,
                                    prepared.inventory().index().folder(),
                                    SourceState.AGAIN);
                    untidy = folder.commit();
                }
                return report(
                        same.isPresent() ? prepared : CopiedSource.notCopied(prepared, result),
                        output,
                        result,
                        small,
                        differences,
                        readBack,
                        untidy,
                        start);
            } catch (MalformedFileException | IncompleteCheckpointException | RefusedException e) {
                folder.discard();
                throw e;
            } catch (IOException | RuntimeException | Error e) {
                folder.kept().ifPresent(e::addSuppressed);
                throw e;
            }
        }
    }

    /// Where an earlier run completed the output, only what there is to report is found again.
    private static ExecutionResult execute(
            Prepared prepared,
            Collection<ByteSource> read,
            OutputFolder folder,
            RunOptions options,
            Progress progress)
            throws IOException {
        if (folder.complete()) {
            return PlanExecutor.read(prepared.plan(), executing(options), progress);
        }
        boolean clones =
                options.unchanged() == RunOptions.Unchanged.CLONED
                        && CopiedSource.isCopied(prepared)
                        && CopiedSource.clones(prepared, folder.output());
        if (!clones) {
            folder.requireSpace(prepared.bytesWritten());
        }
        Options executing =
                executing(options)
                        .withClones(clones)
                        .withJournal(folder.journal().orElseThrow())
                        .withChecksums(checksums(prepared, read));
        if (!options.dropBehind()) {
            return PlanExecutor.execute(prepared.plan(), folder.output(), executing, progress);
        }
        DropBehind behind = new DropBehind(folder.output());
        ExecutionResult result =
                PlanExecutor.execute(
                        prepared.plan(),
                        folder.output(),
                        executing.withObserver(executing.observer().andThen(behind)),
                        progress);
        behind.end();
        return result;
    }

    /// What the sources keep of themselves, each by its own format.
    private static List<Checksummed> checksums(Prepared prepared, Collection<ByteSource> read)
            throws IOException {
        List<Checksummed> all = new ArrayList<>();
        for (Described each : prepared.sources()) {
            CheckpointIndex index = each.source().index();
            Path folder = index.folder().toAbsolutePath().normalize();
            List<ByteSource> own =
                    prepared.others().isEmpty()
                            ? List.copyOf(read)
                            : read.stream()
                                    .filter(
                                            f ->
                                                    f.path()
                                                            .toAbsolutePath()
                                                            .normalize()
                                                            .startsWith(folder))
                                    .toList();
            all.addAll(format(index.format()).checksums(index, own));
        }
        return all;
    }

    /// The files that go behind all others, the pointers last.
    private static List<SmallFile> small(Prepared prepared, ExecutionResult result) {
        List<SmallFile> small = new ArrayList<>(prepared.tree().closing().apply(outcome(result)));
        small.addAll(prepared.tree().pointers());
        return small;
    }

    /// How the executor is to work.
    static Options executing(RunOptions options) {
        Observer pace =
                options.maxRate().isPresent()
                        ? Pace.of(options.maxRate().getAsLong(), options.cancelled())
                        : Observer.NONE;
        return Options.standard()
                .withObserver(pace)
                .withThreads(options.threads())
                .withBufferBytes(options.windowBytes())
                .withSync(options.output().sync())
                .withCheckedWeights(options.checksWeights())
                .withCancelled(options.cancelled());
    }

    static CheckpointFormat format(String name) {
        List<CheckpointFormat> formats = CheckpointFormat.all();
        return formats.stream()
                .filter(f -> f.name().equals(name))
                .findFirst()
                .orElseThrow(
                        () ->
                                new UnknownFormatException(
                                        "--to",
                                        name,
                                        formats.stream().map(CheckpointFormat::name).toList()));
    }

    /// Copies that differ where the spec allows it, one line each.
    ///
    /// @throws IncompleteCheckpointException where the spec says that they are equal
    private static List<String> acceptable(ExecutionResult result, RunOptions options)
            throws IncompleteCheckpointException {
        List<String> lines = new ArrayList<>();
        for (Difference difference : result.differences()) {
            if (difference.rule() == Step.Rule.EQUAL) {
                throw new IncompleteCheckpointException(
                        "%s: %s".formatted(difference.parameter(), difference.state()),
                        DifferenceText.of(difference),
                        "equal replicas",
                        "one of the files is damaged or of another step; where copies may differ,"
                                + " say `replicate over .. take first` in a spec");
            }
            if (difference.rule() == Step.Rule.ROUNDED) {
                throw new IncompleteCheckpointException(
                        "%s: %s".formatted(difference.parameter(), difference.state()),
                        DifferenceText.of(difference),
                        "weights that are their master, rounded",
                        "weights and optimizer are of different steps, or somebody changed one of"
                                + " them: --from-master makes the weights of the master,"
                                + " --weights-only keeps them and leaves the optimizer's states");
            }
            lines.add(
                    "%s %s: %s; the first is taken"
                            .formatted(
                                    difference.parameter(),
                                    difference.state(),
                                    DifferenceText.of(difference)));
        }
        if (options.strict() && !lines.isEmpty()) {
            throw new RefusedException(
                    lines.getFirst(),
                    "copies that differ",
                    "equal copies (--strict)",
                    "leave --strict out to take the first");
        }
        return lines;
    }

    /// What the target has no place for, and what the source may lack.
    private static void refuseLosses(Prepared prepared) throws RefusedException {
        List<String> losses = new ArrayList<>(prepared.tree().losses());
        for (Finding finding : prepared.findings()) {
            if (finding.isUnproven()) {
                losses.add("%s: %s".formatted(finding.place(), finding.message()));
            }
        }
        if (!losses.isEmpty()) {
            throw new RefusedException(
                    prepared.request().to(),
                    String.join("; ", losses),
                    "nothing lost (--strict)",
                    "leave --strict out to accept it");
        }
    }

    private static TargetTree.Outcome outcome(ExecutionResult result) {
        Map<String, List<String>> notes =
                result.differences().stream()
                        .collect(
                                Collectors.groupingBy(
                                        Difference::parameter,
                                        TreeMap::new,
                                        Collectors.mapping(
                                                d ->
                                                        "%s: %s; the first was taken"
                                                                .formatted(
                                                                        d.state(),
                                                                        DifferenceText.of(d)),
                                                Collectors.toList())));
        return new TargetTree.Outcome(result.digests(), notes);
    }

    private static Report report(
            Prepared prepared,
            Path output,
            ExecutionResult result,
            List<SmallFile> small,
            List<String> differences,
            OptionalLong readBack,
            Optional<String> untidy,
            long start) {
        List<Finding> findings = new ArrayList<>(prepared.findings());
        untidy.ifPresent(note -> findings.add(new Finding(output.toString(), note)));
        Map<String, Integer> states = new TreeMap<>();
        for (Parameter parameter : prepared.inventory().parameters()) {
            parameter.facts().states().keySet().forEach(s -> states.merge(s, 1, Integer::sum));
            parameter.facts().scalars().keySet().forEach(s -> states.merge(s, 1, Integer::sum));
        }
        return new Report(
                output,
                prepared.tree().pointers().stream().map(SmallFile::path).toList(),
                prepared.inventory().parameters().size(),
                states,
                result.counts().bytesRead(),
                result.counts().bytesWritten()
                        + small.stream().mapToLong(f -> f.bytes().length).sum(),
                result.counts().bytesKept(),
                result.counts().bytesCloned(),
                prepared.tree().files().size() + small.size(),
                readBack,
                Duration.ofNanos(System.nanoTime() - start),
                result.digests(),
                differences,
                prepared.tree().losses(),
                findings);
    }
}
