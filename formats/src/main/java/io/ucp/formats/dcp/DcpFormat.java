package io.ucp.formats.dcp;

import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Finding;
import io.ucp.formats.TargetTree;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.distcp.DistcpMetadata;
import io.ucp.formats.distcp.ItemReader;
import io.ucp.io.ByteSource;
import io.ucp.io.Checksummed;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;

/// What `torch.distributed.checkpoint.save` writes and `load` reads.
public final class DcpFormat implements CheckpointFormat {
    static final String NAME = "dcp";

    /// Megatron-Core's own file beside `.metadata`: a state dict of another kind.
    private static final String MEGATRON = "metadata.json";

    @Override
    public String name() {
        return NAME;
    }

    /// The mesh that the ranks' files are laid out for.
    @Override
    public Set<String> options() {
        return Set.of("dp", "tp");
    }

    /// After formats that have such files inside their own.
    @Override
    public int precedence() {
        return 70;
    }

    /// `.metadata`, which torch writes last, under a temporary name that it then changes.
    @Override
    public boolean isMarkedInside() {
        return true;
    }

    /// The folder that has a `.metadata`; else those below it that have one, between which nothing
    /// chooses.
    @Override
    public List<Candidate> find(Path path) throws IOException {
        if (!Files.isDirectory(path)) {
            return List.of();
        }
        if (isCheckpoint(path)) {
            return List.of(candidate(path, DistcpMetadata.FILE));
        }
        List<Path> below;
        try (Stream<Path> entries = Files.list(path)) {
            below = entries.filter(DcpFormat::isCheckpoint).sorted().toList();
        }
        String pointer = below.size() == 1 ? DistcpMetadata.FILE : NO_POINTER;
        return below.stream().map(folder -> candidate(folder, pointer)).toList();
    }

    private static boolean isCheckpoint(Path folder) {
        return Files.isRegularFile(folder.resolve(DistcpMetadata.FILE))
                && !Files.exists(folder.resolve(MEGATRON));
    }

    private static Candidate candidate(Path folder, String pointer) {
        Path name = folder.toAbsolutePath().normalize().getFileName();
        return new Candidate(NAME, folder, name == null ? "" : name.toString(), pointer);
    }

    @Override
    public CheckpointIndex index(Candidate candidate) throws IOException {
        return DcpIndex.of(candidate);
    }

    @Override
    public List<Checksummed> checksums(CheckpointIndex index, Collection<ByteSource> read)
            throws IOException {
        return ItemReader.checksums(index.folder(), read);
    }

    @Override
    public List<Finding> damage(CheckpointIndex index) throws IOException {
        return ItemReader.damage(index.folder());
    }

    @Override
    public TargetTree layout(WriteRequest request) {
        return DcpLayout.of(request);
    }
}
