package io.ucp.formats.universal;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Finding;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetTree;
import io.ucp.formats.TargetTree.SmallFile;
import io.ucp.formats.WriteRequest;
import io.ucp.io.MalformedFileException;
import io.ucp.io.Parallel;
import io.ucp.io.WholeFile;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Our own universal checkpoint: see the package.
///
/// Options for writing: `compress`, one of `none`, `zstd` (level 3) and `zstd:LEVEL` (1 to 22), the
/// last two with `+shuffle` behind them where the bytes of elements are sorted first.
public final class UniversalFormat implements CheckpointFormat {
    public static final String NAME = "universal";

    private static final String COMPRESS = "compress";
    private static final Pattern ZSTD =
            Pattern.compile("zstd(?::([1-9]|1[0-9]|2[0-2]))?(\\+shuffle)?");
    private static final int HEAD = 4096;
    private static final int STANDARD_LEVEL = 3;

    private final Limits limits;

    public UniversalFormat() {
        this(Limits.STANDARD);
    }

    UniversalFormat(Limits limits) {
        this.limits = limits;
    }

    @Override
    public String name() {
        return NAME;
    }

    /// The folder itself, where its manifest says so, or where a manifest that does not say
    /// anything lies beside `states/`: then reading it tells what is wrong.
    @Override
    public List<Candidate> find(Path path) throws IOException {
        Path manifest = path.resolve(Manifest.FILE);
        if (!Files.isRegularFile(manifest)) {
            return List.of();
        }
        byte[] head = WholeFile.head(manifest, HEAD);
        Optional<ManifestReader.Head> read = ManifestReader.Head.of(head);
        if (read.isEmpty() && !Files.isDirectory(path.resolve("states"))) {
            return List.of();
        }
        String tag = read.map(ManifestReader.Head::tag).orElse("");
        return List.of(new Candidate(NAME, path, tag, ""));
    }

    /// Reads the manifest and checks every byte of the folder that is not a tensor's against it,
    /// save the raw data in `carried/`: see [#damage]. (The zeros between the buffers of a shuffled
    /// batch count as the tensor's.)
    @Override
    public CheckpointIndex index(Candidate candidate) throws IOException {
        try {
            return UniversalIndex.of(candidate.folder(), ManifestReader.read(candidate.folder()));
        } catch (NoSuchFileException e) {
            throw missing(candidate, e);
        }
    }

    /// What is damaged in `carried/`, by the CRC-32 of its entries; everything else outside of
    /// tensors was checked by [#index].
    @Override
    public List<Finding> damage(CheckpointIndex index) throws IOException {
        List<Finding> findings = new ArrayList<>();
        for (Manifest.Carried carried : ManifestReader.read(index.folder()).carried()) {
            try {
                CarriedReader.verify(index.folder(), carried);
            } catch (MalformedFileException e) {
                findings.add(new Finding(carried.archive(), e.problem()));
            }
        }
        return findings;
    }

    private static IOException missing(Candidate candidate, NoSuchFileException e) {
        return new IncompleteCheckpointException(
                candidate.folder().toString(),
                "there is no " + e.getFile(),
                "every file that " + Manifest.FILE + " names",
                "copy the checkpoint again");
    }

    @Override
    public Set<String> options() {
        return Set.of(COMPRESS);
    }

    @Override
    public TargetTree layout(WriteRequest request) {
        Method method = method(request);
        List<StateFile> states = StateFile.pack(request.parameters(), limits, method.compression());
        List<TargetFile> files = new ArrayList<>();
        ManifestBuilder manifest = new ManifestBuilder(request);
        for (StateFile state : states) {
            StateFileLayout layout = StateFileLayout.of(state, method.level());
            files.add(layout.target());
            manifest.add(state, layout);
        }
        Set<String> archives = new HashSet<>();
        for (CarriedFile carried : request.carried()) {
            String archive = archive(carried);
            if (!PathNames.staysInside(carried.path()) || !archives.add(archive)) {
                throw new RefusedException(
                        carried.path(),
                        "it is not inside the checkpoint, or there twice",
                        "every carried file to have a path of its own",
                        "");
            }
            manifest.add(carried, archive);
        }
        // Pickling and printing the trees of a thousand ranks takes seconds: all processors do it.
        files.addAll(
                Parallel.map(
                        request.carried(),
                        carried -> CarriedArchive.layout(archive(carried), carried)));
        return new TargetTree(
                files,
                outcome ->
                        List.of(
                                new SmallFile(
                                        Manifest.FILE,
                                        ManifestText.write(manifest.build(outcome)))),
                List.of(),
                List.of(),
                List.of());
    }

    private static String archive(CarriedFile carried) {
        return "carried/" + PathNames.path(carried.path()) + ".zip";
    }

    /// @param level of zstd; any for no compression
    private record Method(Compression compression, int level) {}

    private static Method method(WriteRequest request) {
        for (String option : request.options().keySet()) {
            if (!option.equals(COMPRESS)) {
                throw refused("option \"%s\"".formatted(option), "only " + COMPRESS);
            }
        }
        String compress = request.options().getOrDefault(COMPRESS, "none");
        if (compress.equals("none")) {
            return new Method(Compression.NONE, STANDARD_LEVEL);
        }
        Matcher zstd = ZSTD.matcher(compress);
        if (!zstd.matches()) {
            throw refused(
                    "compression \"%s\"".formatted(compress),
                    "none, zstd or zstd:1 to zstd:22, with +shuffle or without");
        }
        int level = zstd.group(1) == null ? STANDARD_LEVEL : Integer.parseInt(zstd.group(1));
        return new Method(zstd.group(2) == null ? Compression.ZSTD : Compression.SHUFFLED, level);
    }

    private static RefusedException refused(String found, String expected) {
        return new RefusedException("format " + NAME, found, expected, "");
    }
}
