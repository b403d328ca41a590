DROP TABLE write_checks;
DROP TABLE instance_leases;
