# Slurm on this host alone, with its keys, logs and state in a folder of its own. To be sourced, as root.

# slurm_start FOLDER PORT: sets SLURM_CONF. Takes the two ports from PORT on.
slurm_start() {
  local folder=$1 port=$2 host
  host=$(hostname -s)
  mkdir -p "$folder/spool" "$folder/state"
  (umask 077 && head -c 128 /dev/urandom > "$folder/munge.key")
  munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
    --log-file="$folder/munged.log" --seed-file="$folder/munged.seed"
  cat > "$folder/slurm.conf" <<END
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmctldPort=$port
SlurmdPort=$((port + 1))
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1
MpiDefault=none
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=test Nodes=$host Default=YES MaxTime=INFINITE State=UP
END
  export SLURM_CONF=$folder/slurm.conf
  slurmctld -f "$SLURM_CONF"
  slurmd -f "$SLURM_CONF"
  local tries=0
  until sinfo --noheader --states=idle 2> /dev/null | grep -q .; do
    if ((++tries > 300)); then tail "$folder"/*.log >&2; return 1; fi
    sleep 0.1
  done
}

slurm_stop() {
  local pid
  for pid in "$1"/*.pid; do kill "$(cat "$pid")" || true; done
}
