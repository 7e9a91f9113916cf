# Asks Mail::DKIM about messages. It reads a request in JSON from each line of
# standard input and writes the answer in JSON to standard output. The only argument
# is the DNS server to use, as HOST:PORT.
use strict;
use warnings;

use JSON::PP;
use MIME::Base64;
use Mail::DKIM::ARC::Signer;
use Mail::DKIM::ARC::Verifier;
use Mail::DKIM::DNS;
use Mail::DKIM::PrivateKey;
use Mail::DKIM::Signer;
use Mail::DKIM::Verifier;
use Net::DNS::Resolver;

my ( $host, $port ) = split /:/, $ARGV[0];
Mail::DKIM::DNS::resolver(
	Net::DNS::Resolver->new( nameservers => [$host], port => $port, recurse => 1, udp_timeout => 5 ) );
$| = 1;

sub feed {
	my ( $tool, $message ) = @_;
	$tool->PRINT($message);
	$tool->CLOSE;
	return $tool;
}

# private_key returns a key from a PEM file as Mail::DKIM expects it.
sub private_key {
	my ($o) = @_;
	( my $data = $o->{key} ) =~ s/-----[^-]+-----|\s//g;
	return Mail::DKIM::PrivateKey->load( Data => $data );
}

my %verbs = (
	verify_dkim => sub {
		my ($message) = @_;
		my $d = feed( Mail::DKIM::Verifier->new, $message );
		return { verdicts => [ map { { result => $_->result, detail => $_->result_detail } } $d->signatures ] };
	},
	verify_arc => sub {
		my ($message) = @_;
		my $d = feed( Mail::DKIM::ARC::Verifier->new, $message );
		return { verdicts => [ { result => $d->result, detail => $d->result_detail } ] };
	},
	sign_dkim => sub {
		my ( $message, $o ) = @_;
		my $d = feed( Mail::DKIM::Signer->new(
			Algorithm => $o->{algorithm}, Method => 'relaxed/relaxed',
			Domain    => $o->{domain}, Selector => $o->{selector}, Key => private_key($o) ), $message );
		return { message => encode_base64( $d->signature->as_string . "\r\n" . $message, '' ) };
	},
	seal_arc => sub {
		my ( $message, $o ) = @_;
		my $d = feed( Mail::DKIM::ARC::Signer->new(
			Algorithm => $o->{algorithm}, Domain => $o->{domain}, Selector => $o->{selector},
			SrvId     => $o->{authserv_id}, Key => private_key($o), Chain => 'ar', Timestamp => time ), $message );
		die "Mail::DKIM does not seal: " . $d->{details} . "\n" if $d->result ne 'sealed';
		return { message => encode_base64( $d->as_string . $message, '' ) };
	},
);

while ( my $line = <STDIN> ) {
	my $request = decode_json($line);
	my $answer  = eval { $verbs{ $request->{verb} }->( decode_base64( $request->{message} ), $request ) };
	$answer = { error => "$@" } unless defined $answer;
	print encode_json($answer), "\n";
}
