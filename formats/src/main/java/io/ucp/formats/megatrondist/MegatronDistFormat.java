package io.ucp.formats.megatrondist;

import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Finding;
import io.ucp.formats.TargetTree;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.distcp.DistcpMetadata;
import io.ucp.formats.distcp.ItemReader;
import io.ucp.formats.mcore.IterationFolder;
import io.ucp.formats.mcore.Roles;
import io.ucp.io.ByteSource;
import io.ucp.io.Checksummed;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import java.util.Set;

/// Checkpoints as Megatron-LM saves them with `--ckpt-format torch_dist`.
public final class MegatronDistFormat implements CheckpointFormat {
    static final String NAME = Roles.DIST;
    static final String RNG = "rng";

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public List<Candidate> find(Path path) throws IOException {
        return IterationFolder.find(NAME, MegatronDistFormat::isCheckpoint, path);
    }

    private static boolean isCheckpoint(Path folder) {
        return Files.isRegularFile(folder.resolve(DistcpMetadata.FILE))
                && Files.isRegularFile(folder.resolve(DistFiles.CONFIG));
    }

    @Override
    public Set<String> options() {
        return Set.of(RNG);
    }

    @Override
    public String naming() {
        return "megatron_core";
    }

    @Override
    public CheckpointIndex index(Candidate candidate) throws IOException {
        return DistIndex.of(candidate);
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
        return DistTree.of(request);
    }
}
